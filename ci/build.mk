# Compile rules: what turns common/, services/ and tests/unit/ into programs.
# They run inside the toolchain image (see Dockerfile.multi); the user-facing
# targets are in the Makefile beside this folder.
#
#   make -f ci/build.mk binaries [CONFIG=release|asan|tsan] [CROSS=aarch64-linux-gnu-]
#   make -f ci/build.mk unit     [CONFIG=asan]
#
# A folder in services/ with a main.c is a service; a tests/unit/test_*.c is a
# unit test. Nothing is listed by hand. Programs land in build/$(CONFIG)/bin.

CONFIG ?= release
CROSS ?=
OUT ?= build/$(CONFIG)
WERROR ?=

CC := $(CROSS)gcc
AR := $(CROSS)gcc-ar
PKG_CONFIG ?= $(if $(CROSS),$(CROSS)pkg-config,pkg-config)

SERVICES := $(patsubst services/%/main.c,%,$(wildcard services/*/main.c))
PACKAGES := libuv libmosquitto sqlite3 yyjson libcrypto libssl

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The build date bounds what a plausible wall clock is (see common/clock.h).
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wformat=2 $(if $(WERROR),-Werror)
OPT_release := -O2 -flto=auto -fstack-protector-strong -D_FORTIFY_SOURCE=2
OPT_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_tsan := -O1 -fsanitize=thread
OPT_debug := -O0
OPT := $(OPT_$(CONFIG)) -g -fno-omit-frame-pointer
ifeq ($(OPT_$(CONFIG)),)
$(error CONFIG=$(CONFIG) is unknown: use release, debug, asan or tsan)
endif

CPPFLAGS += -D_GNU_SOURCE -Icommon -Iservices -I$(OUT)/gen $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
CFLAGS += -std=c11 $(OPT) -fPIE -ffile-prefix-map=$(CURDIR)=. $(WARN)
LDFLAGS += $(OPT) -pie -Wl,-z,relro,-z,now -Wl,--as-needed
LDLIBS += $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lm

COMMON_OBJ := $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard common/*.c))
service_src = $(filter-out services/$1/main.c,$(wildcard services/$1/*.c services/$1/*/*.c))
service_obj = $(patsubst %.c,$(OUT)/obj/%.o,$(call service_src,$1))
ARCHIVES := $(SERVICES:%=$(OUT)/lib/%.a)
TESTS := $(patsubst tests/unit/%.c,$(OUT)/test/%,$(wildcard tests/unit/test_*.c))

# V=1 shows the commands.
Q := $(if $(V),,@)

.PHONY: binaries unit unit-programs
.DELETE_ON_ERROR:
.SECONDARY:

binaries: $(SERVICES:%=$(OUT)/bin/%)

unit-programs: $(TESTS)

unit: $(TESTS)
	@ci/run-unit.sh $(TESTS)

$(OUT)/obj/%.o: %.c | $(OUT)/gen/schema.sql.h
	@mkdir -p $(@D)
	@echo '  CC   $<'
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Only one file knows the version, so a new commit recompiles one file.
$(OUT)/obj/common/version.o: CPPFLAGS += -DDP_VERSION='"$(VERSION)"' -DDP_BUILD_EPOCH=$(SOURCE_DATE_EPOCH)
$(OUT)/obj/common/version.o: $(OUT)/gen/version.stamp
$(OUT)/gen/version.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(SOURCE_DATE_EPOCH)' | cmp -s - $@ || echo '$(VERSION) $(SOURCE_DATE_EPOCH)' > $@
FORCE:

# schema.sql becomes a C string literal, line by line.
$(OUT)/gen/schema.sql.h: common/schema.sql
	@mkdir -p $(@D)
	@sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@

$(OUT)/lib/common.a: $(COMMON_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

define service_rules
$(OUT)/lib/$1.a: $(call service_obj,$1)
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)$(AR) rcs $$@ $$^

$(OUT)/bin/$1: $(OUT)/obj/services/$1/main.o $(OUT)/lib/$1.a $(OUT)/lib/common.a
	@mkdir -p $$(@D)
	@echo '  LINK $$@'
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(foreach s,$(SERVICES),$(eval $(call service_rules,$s)))

$(OUT)/test/%: $(OUT)/obj/tests/unit/%.o $(ARCHIVES) $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

# Compile rules: what turns common/, services/ and tests/unit/ into programs.
# They run inside the toolchain image (see Dockerfile.multi); the user-facing
# targets are in the Makefile beside this folder.
#
#   make -f ci/build.mk binaries [CONFIG=release|asan|tsan] [CROSS=aarch64-linux-gnu-]
#   make -f ci/build.mk plugins  [CONFIG=...] [CROSS=...]
#   make -f ci/build.mk unit     [CONFIG=asan]
#   make -f ci/build.mk unit-threads
#
# A folder in services/ with a main.c is a service; mosquitto-NAME with a plugin.c is the
# broker's plugin NAME.so; a tests/unit/test_*.c is a unit test. Nothing is listed by hand.
# Programs land in build/$(CONFIG)/bin, plugins in build/$(CONFIG)/plugins; the services of
# `clocked` are the same with a clock that a test can set, those of `faked`
# with GPIO chips made of files; `fault-programs` are what the fault matrix starts
# besides, `bench-programs` what the benchmarks do, and `rig` is what runs in the guest of
# tests/rig/.

CONFIG ?= release
CROSS ?=
OUT ?= build/$(CONFIG)
WERROR ?=

CC := $(CROSS)gcc
AR := $(CROSS)gcc-ar
PKG_CONFIG ?= $(if $(CROSS),$(CROSS)pkg-config,pkg-config)

SERVICES := $(patsubst services/%/main.c,%,$(wildcard services/*/main.c))
PACKAGES := libuv libmosquitto sqlite3 yyjson libgpiod jansson libcrypto libssl libpq zlib

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
service_src = $(filter-out services/$1/main.c services/$1/postgres/%,\
	$(wildcard services/$1/*.c services/$1/*/*.c))
service_obj = $(patsubst %.c,$(OUT)/obj/%.o,$(call service_src,$1))
POSTGRES := $(patsubst services/%/postgres/,%,$(wildcard services/*/postgres/))
postgres_obj = $(patsubst %.c,$(OUT)/obj/%.o,\
	$(filter-out %/main.c,$(wildcard services/$1/postgres/*.c)))
PLUGINS := $(patsubst services/mosquitto-%/plugin.c,%,$(wildcard services/mosquitto-*/plugin.c))
ARCHIVES := $(SERVICES:%=$(OUT)/lib/%.a) $(PLUGINS:%=$(OUT)/lib/mosquitto-%.a) $(OUT)/lib/ingest-postgres.a
UNITS ?= $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
TESTS := $(UNITS:%=$(OUT)/test/%)

# V=1 shows the commands.
Q := $(if $(V),,@)

CLOCKED := sampler publisher ingest retention-pruner retention-pruner-postgres

FAKED := sampler

FAULT_TESTS := $(OUT)/test/power_cut $(OUT)/test/outbox_ladder $(OUT)/test/outbox_flips \
	$(OUT)/test/store_flips $(OUT)/test/store_ladder $(OUT)/test/nodes

RIG := $(OUT)/rig/init

BENCHES := $(OUT)/test/noise $(OUT)/test/load $(OUT)/test/alone

.PHONY: binaries plugins clocked faked unit unit-programs unit-threads fault-programs bench-programs rig FORCE
.DELETE_ON_ERROR:
.SECONDARY:

binaries: $(SERVICES:%=$(OUT)/bin/%) $(POSTGRES:%=$(OUT)/bin/%-postgres)

plugins: $(PLUGINS:%=$(OUT)/plugins/%.so)

clocked: $(CLOCKED:%=$(OUT)/clocked/%)

faked: $(FAKED:%=$(OUT)/faked/%)

unit-programs: $(TESTS)

fault-programs: $(FAULT_TESTS)

rig: $(RIG)

bench-programs: $(BENCHES)

unit: $(TESTS)
	@ci/run-unit.sh $(TESTS)

# With ThreadSanitizer, which has nothing to see in a program of one thread: those that can
# have two, found among the programs built for AddressSanitizer.
unit-threads:
	@$(MAKE) -f ci/build.mk unit-programs CONFIG=asan
	@$(MAKE) -f ci/build.mk unit CONFIG=tsan \
		UNITS="$$(ci/threaded.sh $(patsubst %,build/asan/test/%,$(UNITS)) | tr '\n' ' ')"

$(OUT)/obj/%.o: %.c | $(OUT)/gen/schema.sql.h $(OUT)/gen/postgres.sql.h
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

# Each migration of a schema becomes a C string literal, without its comments. A test builds
# services of a version to come with one more: tests/fault/test_upgrade.py.
MIGRATIONS ?= $(addprefix common/,schema.sql schema_2.sql schema_3.sql schema_4.sql)
$(OUT)/gen/schema.sql.h: $(MIGRATIONS)
$(OUT)/gen/postgres.sql.h: services/ingest/postgres/schema.sql services/ingest/postgres/schema_2.sql services/ingest/postgres/schema_3.sql
$(OUT)/gen/%.sql.h:
	@mkdir -p $(@D)
	@for file in $^; do \
		sed -e '/^--/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $$file && echo ,; \
	done > $@

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

$(OUT)/faked/$1: $(OUT)/obj/services/$1/main.o $(OUT)/obj/tests/harness/gpio_fake.o \
		$(OUT)/lib/$1.a $(OUT)/lib/common.a
	@mkdir -p $$(@D)
	@echo '  LINK $$@'
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)

$(OUT)/clocked/$1: $(OUT)/obj/services/$1/main.o $(OUT)/obj/tests/harness/clock_file.o \
		$(OUT)/lib/$1.a $(OUT)/lib/common.a
	@mkdir -p $$(@D)
	@echo '  LINK $$@'
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(foreach s,$(SERVICES),$(eval $(call service_rules,$s)))

# A plugin is compiled as a whole, and never with a sanitizer, which the broker that loads it
# does not have; its parts are in an archive for unit tests as well.
define plugin_rules
$(OUT)/lib/mosquitto-$1.a: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard services/mosquitto-$1/*.c))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)$(AR) rcs $$@ $$^

$(OUT)/plugins/$1.so: $(wildcard services/mosquitto-$1/*.c) common/number.c \
		$(wildcard services/mosquitto-$1/*.h) common/number.h
	@mkdir -p $$(@D)
	@echo '  LINK $$@'
	$(Q)$(CC) -D_GNU_SOURCE -Icommon -std=c11 $(OPT_release) -g -fPIC -ffile-prefix-map=$(CURDIR)=. $(WARN) \
		-shared -Wl,-z,relro,-z,now,--as-needed,--version-script=services/mosquitto-$1/exports.map \
		-o $$@ $$(filter %.c,$$^) -lm
endef
$(foreach p,$(PLUGINS),$(eval $(call plugin_rules,$p)))

# For the unit tests of its parts.
$(OUT)/lib/ingest-postgres.a: $(call postgres_obj,ingest)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# A service once more, storing in PostgreSQL: its main names that store.
define postgres_rules
$(OUT)/bin/$1-postgres: $(OUT)/obj/services/$1/postgres/main.o $(call postgres_obj,$1) \
		$(OUT)/lib/$1.a $(OUT)/lib/common.a
	@mkdir -p $$(@D)
	@echo '  LINK $$@'
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)

$(OUT)/clocked/$1-postgres: $(OUT)/obj/services/$1/postgres/main.o $(OUT)/obj/tests/harness/clock_file.o \
		$(call postgres_obj,$1) $(OUT)/lib/$1.a $(OUT)/lib/common.a
	@mkdir -p $$(@D)
	@echo '  LINK $$@'
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(foreach s,$(POSTGRES),$(eval $(call postgres_rules,$s)))

$(OUT)/test/%: $(OUT)/obj/tests/unit/%.o $(ARCHIVES) $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# Of one part of the publisher, whose calls must not be taken for another service's.
$(OUT)/test/test_publisher_%: $(OUT)/obj/tests/unit/test_publisher_%.o $(OUT)/lib/publisher.a $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(OUT)/test/power_cut: $(OUT)/obj/tests/fault/power_cut.o $(OUT)/obj/tests/fault/cut_vfs.o \
		$(OUT)/lib/publisher.a $(OUT)/lib/ingest.a $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The publisher's parts in one process: tests/fault/model/model.h says what is wrapped and why.
MODEL_OBJ := $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/fault/model/*.c)) $(OUT)/obj/tests/fault/fail_vfs.o
MODEL_WRAP := uv_now uv_queue_work uv_timer_start access rename renameat2 unlink fsync flock pwrite open
MODEL_LIBS := $(OUT)/lib/publisher.a $(OUT)/lib/common.a

$(OUT)/test/outbox_%: $(OUT)/obj/tests/fault/outbox_%.o $(MODEL_OBJ) $(MODEL_LIBS)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) $(MODEL_WRAP:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS)

$(OUT)/test/test_relay $(OUT)/test/test_relay_outbox: $(OUT)/test/%: $(OUT)/obj/tests/unit/%.o $(MODEL_OBJ) $(MODEL_LIBS)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) $(MODEL_WRAP:%=-Wl,--wrap=%) -o $@ $^ -lcmocka $(LDLIBS)

STORE_SCENE := $(OUT)/obj/tests/fault/store_scene.o $(OUT)/lib/ingest.a $(OUT)/lib/common.a

$(OUT)/test/store_flips: $(OUT)/obj/tests/fault/store_flips.o $(STORE_SCENE)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The store's own calls of the system, beside SQLite's.
LADDER_CALLS := open flock fcntl rename unlink fsync pwrite
$(OUT)/obj/tests/fault/store_ladder.o: $(OUT)/gen/schema.sql.h
$(OUT)/test/store_ladder: $(OUT)/obj/tests/fault/store_ladder.o $(OUT)/obj/tests/fault/fail_vfs.o $(STORE_SCENE)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) $(LADDER_CALLS:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS)

$(OUT)/test/nodes: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/bench/nodes/*.c)) \
		$(OUT)/lib/publisher.a $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/test/noise: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/bench/noise/*.c)) \
		$(OUT)/lib/sampler.a $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/test/load: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/bench/load/*.c)) $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/test/alone: $(OUT)/obj/tests/bench/alone/main.o $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/rig/init: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/rig/*.c)) \
		$(OUT)/lib/sampler.a $(OUT)/lib/common.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

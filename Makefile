# What people type. The work is done by the scripts in ci/ (see ci/README.md) and,
# inside the toolchain image, by ci/build.mk.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Whose readings: lab, or broker for a real one on this machine.
STACK ?= lab
export STACK

.PHONY: help up readings tail down clean-data images dev-image test lint unit \
	integration fault e2e rig test-rig test-fault bench shell

help: ## this list
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 40

up: ## start the lab: broker and two nodes that replay real captures
	@ci/up.sh

readings: ## the last rows of the database (STACK=broker: of a real broker here)
	@ci/readings.sh

tail: ## readings as they arrive, one line each (STACK=broker as well)
	@ci/tail.sh

down: ## stop the lab; its readings are kept
	@ci/down.sh

clean-data: ## delete the lab's readings (asks first)
	@ci/down.sh --data

images: ## build the images
	@ci/engine.sh && ci/base-image.sh && ci/images.sh

test: ## everything: lint, unit, integration, fault (short form), rig and end-to-end tests
	@ci/test.sh

lint unit integration fault rig e2e: ## one part of the tests
	@ci/test.sh $@

test-rig: ## GPIO on a real kernel, a minute (SCENARIO=name: a part; ARCH=arm64)
	@ci/engine.sh && ci/base-image.sh && ARCH=$(ARCH) ci/rig.sh $(SCENARIO)

test-fault: ## the whole fault matrix, about 2 hours (CASE=name SEEDS=1,2: a part of it)
	@ci/test.sh fault-full

bench: ## measure noise, reads, latency, a backlog (9 minutes; build/bench.jsonl)
	@ci/bench.sh

dev-image: ## build the toolchain image
	@ci/engine.sh && ci/base-image.sh && ci/dev-image.sh

shell: dev-image ## a shell in the toolchain image
	@ci/dev.sh bash

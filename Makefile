# What people type. The work is done by the scripts in ci/ (see ci/README.md) and,
# inside the toolchain image, by ci/build.mk.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Whose identities: those of a real broker, unless STACK is given.
IDENTITIES := STACK=$(if $(filter undefined,$(origin STACK)),broker,$(STACK))
# Whose readings: lab, or broker for a real one on this machine.
STACK ?= lab
export STACK
# Identities without Docker: said once, to `make provision`.
NATIVE ?= $(wildcard $(or $(PROVISION_DIR),provision)/native)
export NATIVE
# Where `make install` puts things.
DESTDIR ?=
PREFIX ?= /usr

.PHONY: help up readings dead-letters tail down clean-data provision provision-node provision-device \
	provision-client provision-server provision-addresses provision-renew revoke revoke-old identities provision-check images push pull sbom reproduce dev-image \
	test lint unit integration fault e2e rig test-rig test-fault test-identity test-mixed test-images test-provision test-native \
	bench bench-full bench-wear bench-wire bench-identity bench-images shell native install uninstall

help: ## this list
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 40

up: ## start the lab: broker and two nodes that replay real captures
	@ci/up.sh

readings: ## the last rows of the database (STACK=broker: of a real broker here)
	@ci/readings.sh

dead-letters: ## what arrived and could not be read, and why (STACK=broker as well)
	@ci/dead-letters.sh

tail: ## readings as they arrive, one line each (STACK=broker as well)
	@ci/tail.sh

down: ## stop the lab; its readings are kept
	@ci/down.sh

clean-data: ## delete the lab's readings (asks first)
	@ci/down.sh --data

provision: ## who may come in, once: BROKER=broker.local,192.168.0.10 NODES="orangepi0 ..."
	@$(IDENTITIES) ci/provision.sh init
	@$(if $(NATIVE),:,ci/bundle.sh broker $(foreach node,$(NODES),$(firstword $(subst :, ,$(node)))))

provision-node: ## one board more: NODE= (SENSORS=, OUTPUTS=, WAS="names it had before")
	@$(IDENTITIES) ci/provision.sh node $(NODE)
	@$(if $(NATIVE),:,ci/bundle.sh $(firstword $(subst :, ,$(NODE))))

provision-device: ## a user and a password for somebody else's device: DEVICE=
	@$(IDENTITIES) ci/provision.sh device $(DEVICE)

provision-client: ## a certificate for a person or a program: CLIENT=operator-anna, homeassistant
	@$(IDENTITIES) ci/provision.sh client $(CLIENT)

provision-server: ## certificates for a PostgreSQL elsewhere: SERVER=db.example.org
	@$(IDENTITIES) ci/provision.sh server $(SERVER)

provision-addresses: ## the broker's new names and addresses: BROKER=broker.local,192.168.0.20
	@$(IDENTITIES) ci/provision.sh addresses $(if $(filter command,$(firstword $(origin BROKER))),$(BROKER))

provision-renew: ## a new key and bundle for NODE=, or DEVICE=, CLIENT=; the old key counts until revoke-old
	@$(IDENTITIES) ci/provision.sh renew $(or $(NODE),$(DEVICE),$(CLIENT))
	@$(if $(NATIVE),:,$(if $(NODE),ci/bundle.sh $(NODE)))

revoke-old: ## once the board NODE= has its new key: the old one ends
	@$(IDENTITIES) ci/provision.sh revoke-old $(NODE)

revoke: ## shut NODE= out, at once (a device or a client as well)
	@$(IDENTITIES) ci/provision.sh revoke $(NODE)

identities: ## who may come in: since when, last seen, revoked or not
	@$(IDENTITIES) ci/identities.sh

provision-check: ## try every door of the broker
	@$(IDENTITIES) ci/provision.sh check

images: dev-image ## build the images of all platforms (PLATFORMS=native: of this machine's)
	@PLATFORMS=$(or $(PLATFORMS),all) ci/images.sh --packed

push: dev-image ## build and push them (REGISTRY=registry.example.org/dewpoint, TAG=)
	@REGISTRY=$(REGISTRY) TAG=$(TAG) ci/push.sh

pull: ## pull them for this board (REGISTRY=, TAG=)
	@REGISTRY=$(REGISTRY) TAG=$(TAG) ci/pull.sh

sbom: dev-image ## what is in each image, as SPDX (build/sbom)
	@ci/sbom.sh

reproduce: dev-image ## build the images twice from nothing and compare (10 minutes)
	@ci/reproduce.sh

test: ## everything: lint, unit, integration, fault (short form), rig and end-to-end tests
	@ci/test.sh

lint unit integration fault rig e2e: ## one part of the tests
	@ci/test.sh $@

test-rig: ## GPIO on a real kernel, a minute (SCENARIO=name: a part; ARCH=arm64)
	@ci/engine.sh && ci/base-image.sh && ARCH=$(ARCH) ci/rig.sh $(SCENARIO)

test-fault: ## the whole fault matrix, about 2 hours (CASE=name SEEDS=1,2: a part of it; OPEN=1: not provisioned)
	@ci/test.sh fault-full

test-identity: ## who may come in: every attempt, damaged files, one revoked among 100 boards
	@REVOKE_SESSIONS=$(or $(REVOKE_SESSIONS),100) ci/test.sh identity

test-mixed: ## nodes and centres of a release before beside today's (OLD=revision)
	@ci/test-mixed.sh

test-provision: ## a centre and nodes from bundles, on Docker Engines of their own (10 minutes)
	@ci/test-provision.sh

test-images: ## push, pull and run the images of all platforms (5 minutes)
	@ci/test-images.sh

bench: ## measure noise, reads, latency, a backlog, ingest, PostgreSQL (build/bench.jsonl)
	@ci/bench.sh

bench-full: ## measure what takes longer: 50 million rows, 10,000 nodes, replicas
	@ci/bench.sh ingest-full

bench-wear: ## bytes on the cards of centre and node, a reading (WEAR_S=600; 15 minutes)
	@ci/bench-card.sh wear

bench-wire: ## bytes on the wire, a reading, with IP and TCP (WIRE_S=600; 11 minutes)
	@ci/bench-card.sh wire

bench-identity: ## what TLS and rights cost, 1,000 boards that come back at once (5 minutes)
	@ci/bench.sh identity

bench-images: ## size, start and memory of the images; containers beside none (5 minutes)
	@ci/bench-images.sh

dev-image: ## build the toolchain image
	@ci/engine.sh && ci/base-image.sh && ci/dev-image.sh

shell: dev-image ## a shell in the toolchain image
	@ci/dev.sh bash

native: ## without Docker: build for this machine, Debian 13 or Raspberry Pi OS trixie
	@ci/native.sh

install: ## install that with systemd units (DESTDIR=, PREFIX=/usr; as root)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' ci/native/install.sh

uninstall:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' ci/native/install.sh --remove

test-native: ## build, install and run it in a Debian 13 of its own under systemd
	@ci/engine.sh && ci/base-image.sh && ci/test-native.sh

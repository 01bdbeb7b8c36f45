#!/bin/sh
# Measure what a reading costs: bytes on the card (`wear`), bytes on the wire (`wire`).
#   ci/bench-card.sh wear|wire
# Release builds and real brokers in the toolchain image, as ci/bench.sh; prints a table and
# appends to build/bench.jsonl. WEAR_S and WIRE_S: how many seconds are measured, 600 unless set.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

case ${1:-} in
wear | wire) ;;
*) fail "say wear or wire" ;;
esac
ci/engine.sh
ci/base-image.sh
ci/dev-image.sh
ci/dev.sh make -s -j "$(nproc)" -f ci/build.mk binaries bench-programs CONFIG=release
set -- "$1" env BIN=build/release/bin WEAR_S="${WEAR_S:-}" WIRE_S="${WIRE_S:-}" \
	PYTHONDONTWRITEBYTECODE=1
# The results stay this user's, as the loop devices are root's.
: >>build/bench.jsonl
case $1 in
wear) shift && exec ci/dev.sh --devices "$@" python3 tests/bench/bench.py wear sparse ;;
wire) shift && exec ci/dev.sh unshare -Urn "$@" python3 tests/bench/bench.py wire ;;
esac

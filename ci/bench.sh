#!/bin/sh
# Measure, from a bare machine on: the benchmarks of tests/bench/ but for the long ones,
# or the named ones.
# Release builds, real brokers, real files; prints a table and appends one JSON object
# a benchmark to build/bench.jsonl. Fails when a reading was lost, stored twice or wrong,
# not when a figure is low.
set -eu
cd "$(dirname "$0")/.."

export TOOLCHAIN=bench

ci/engine.sh
ci/base-image.sh
ci/dev-image.sh
ci/dev.sh make -s -j "$(nproc)" -f ci/build.mk binaries faked clocked bench-programs \
	fault-programs CONFIG=release
BIN=build/release/bin exec ci/dev.sh python3 tests/bench/bench.py "$@"

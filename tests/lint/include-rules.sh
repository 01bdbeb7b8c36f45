#!/bin/sh
# Proves that ci/include-rules.sh passes a correct tree and finds each violation.
set -eu
cd "$(dirname "$0")/../.."
rules=$PWD/ci/include-rules.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

# A tree in which everything is allowed where it stands.
clean_tree() {
	rm -rf "$tree/common" "$tree/services"
	mkdir -p "$tree/common" "$tree/tests/unit" "$tree/services/sampler" "$tree/services/ingest" \
		"$tree/services/publisher/outbox" "$tree/services/retention-pruner"
	cat >"$tree/common/bus.c" <<-'C'
		#include <mosquitto.h>
	C
	cat >"$tree/common/store.h" <<-'C'
		#include <sqlite3.h>
	C
	cat >"$tree/common/topic.c" <<-'C'
		/* fopen() is not for this file, nor is atoi(). */
		/*
		 * Several lines: fopen("a", "r")
		 */
		#include <stdio.h>
		#include "topic.h"
		static void f(char *buf) { snprintf(buf, 4, "atoi(%d)", 1); } // printf(
	C
	: >"$tree/common/topic.h"
	cat >"$tree/services/sampler/gpio_libgpiod.c" <<-'C'
		#include <gpiod.h>
	C
	cat >"$tree/services/publisher/outbox/outbox.c" <<-'C'
		#include "topic.h"
		#include "outbox.h"
		#include <sqlite3.h>
	C
	: >"$tree/services/publisher/outbox/outbox.h"
	: >"$tree/services/ingest/decode.h"
}

expect_clean() {
	if ! "$rules" "$tree"; then
		echo "a correct tree is refused" >&2
		failed=1
	fi
}

# expect FILE LINE MESSAGE: with that line added to the file, the rules must say MESSAGE.
expect() {
	clean_tree
	printf '%s\n' "$2" >>"$tree/$1"
	if output=$("$rules" "$tree"); then
		echo "not found: '$2' in $1" >&2
		failed=1
	else
		case $output in
		"$1:"*"$3"*) ;;
		*)
			echo "'$2' in $1 is reported as: $output" >&2
			failed=1
			;;
		esac
	fi
}

clean_tree
expect_clean
expect services/ingest/main.c '#include <mosquitto.h>' 'belongs to another file'
expect services/ingest/main.c '#include <mosquitto_plugin.h>' 'belongs to another file'
expect common/topic.c '#  include "sqlite3.h"' 'belongs to another file'
expect services/ingest/main.c '#include <sqlite3.h>' 'belongs to another file'
expect services/sampler/main.c '#include <gpiod.h>' 'belongs to another file'
expect services/ingest/main.c '#include <libpq-fe.h>' 'belongs to another file'
expect services/sampler/main.c '#include "../ingest/decode.h"' 'by topics only'
expect services/sampler/main.c '#include "ingest/decode.h"' 'by topics only'
expect common/bus.c '#include "../services/ingest/decode.h"' "never includes a service's header"
expect common/bus.c '#include "ingest/decode.h"' "never includes a service's header"
expect common/backoff.h '#include <uv.h>' 'a pure file includes no'
expect services/sampler/ring.c '#include <time.h>' 'a pure file includes no'
expect common/reading.c 'static void f(void) { fopen("a", "r"); }' 'fopen: a pure file'
expect common/reading.c 'static void f(void) { printf("a"); }' 'printf: a pure file'
expect common/reading.c 'static long f(void) { return time (0); }' 'time: a pure file'
expect services/ingest/main.c 'static int f(void) { return atoi("1"); }' 'atoi: unchecked'
expect services/ingest/main.c 'static void f(char *a) { strcpy(a, "b"); }' 'strcpy: unchecked'
expect common/bus.c 'static void f(char *a) { sprintf(a, "b"); }' 'sprintf: unchecked'

[ "$failed" -eq 0 ]

#!/bin/sh
# Boot the guest in virtual time, beside it once more in the host's, and add up what
# passed. Runs in the image of the rig, whose folder /rig has everything:
#
#   boot.sh [NAME...]     the scenarios whose name contains one of these; all of them
set -eu
cd "$(dirname "$0")"

case $ARCH in
amd64) qemu=qemu-system-x86_64 machine="-M pc" console=ttyS0 ;;
arm64) qemu=qemu-system-aarch64 machine="-M virt -cpu cortex-a53" console=ttyAMA0 ;;
*) echo "boot.sh: no machine is known for $ARCH" >&2 && exit 1 ;;
esac
limit_s=900 # only a guest that hangs gets there
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd root && find . | cpio --quiet -o -H newc) >"$work/initrd"

# boot TIME QEMU-OPTIONS NAME...: the report goes to standard output
boot() {
	time=$1 options=$2 begin=$(date +%s)
	shift 2
	# shellcheck disable=SC2086 # options
	timeout "$limit_s" "$qemu" $machine -accel tcg $options -m 512 -nodefaults \
		-display none -serial stdio -no-reboot -kernel vmlinuz -initrd "$work/initrd" \
		-append "console=$console no_timer_check quiet loglevel=3 panic=-1 -- $time $*" </dev/null || :
	echo "     the guest in $time time took $(($(date +%s) - begin)) s"
}

# sum COLUMN: of the guests' last lines, `boot: N passed, N failed`
sum() { awk -v column="$1" '/^boot: / { n += $column } END { print n + 0 }' "$work"/*.out; }

echo "Linux $(cat version), $("$qemu" --version | head -n 1)"
boot host "" "$@" >"$work/host.out" &
# Each instruction takes a nanosecond and waiting takes none: edges are where they belong
# to within some microseconds, whatever else the host does.
boot virtual "-icount shift=0,sleep=off" "$@" | tee "$work/virtual.out"
wait
cat "$work/host.out"

passed=$(sum 2) failed=$(sum 4)
for time in virtual host; do
	grep -q '^boot: ' "$work/$time.out" && continue
	echo "FAIL the guest in $time time: it did not get to its end"
	failed=$((failed + 1))
done
echo "rig: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# Lay out the files of the image postgres, to be copied onto the base of all images:
#
#   postgres-files.sh OUT TRIPLET EXTRACTED BASE
#
# EXTRACTED has the unpacked Debian packages, BASE what is in the image already.
# Libraries are found by what the ELF files name, as in collect.sh. LLVM's JIT, 150 MB,
# is left out.
set -eu

out=$1 triplet=$2 extracted=$3 base=$4
libdir=/usr/lib/$triplet

fail() {
	echo "postgres-files.sh: $*" >&2
	exit 1
}

needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# libraries FILE...: the paths of all that they need, directly or not.
libraries() {
	queue=$(for file; do needed "$file"; done | sort -u) seen=' '
	while [ -n "$queue" ]; do
		next=
		for name in $queue; do
			case $seen in *" $name "*) continue ;; esac
			seen="$seen$name "
			case $name in ld-linux*) continue ;; esac
			[ -e "$libdir/$name" ] || fail "$name is not in $libdir"
			echo "$libdir/$name"
			next="$next $(needed "$libdir/$name" | tr '\n' ' ')"
		done
		queue=${next# }
	done
}

server=$(echo "$extracted"/usr/lib/postgresql/*)
[ -x "$server/bin/postgres" ] || fail "no server in $extracted"
version=$(basename "$server")
home=/usr/lib/postgresql/$version
mkdir -p "$out$home/bin" "$out$home/lib" "$out/usr/bin" "$out/bin" "$out/usr/share/postgresql"
for name in postgres initdb pg_isready psql pg_dump pg_restore; do
	cp -p "$server/bin/$name" "$out$home/bin/"
	ln -s "../lib/postgresql/$version/bin/$name" "$out/usr/bin/$name"
done
cp -p "$server"/lib/*.so "$out$home/lib/"
rm -f "$out$home"/lib/llvmjit.so "$out$home"/lib/sepgsql.so "$out$home"/lib/pgxml.so
cp -r "$extracted/usr/share/postgresql/$version" "$out/usr/share/postgresql/"
rm -rf "$out/usr/share/postgresql/$version/man"
cp -r "$extracted/usr/share/zoneinfo" "$out/usr/share/"
# initdb starts the server by a shell; the entry point moves what is finished.
cp -Lp "$(find "$extracted" -path '*bin/dash')" "$out/bin/sh"
for name in mv rm; do cp -Lp "$(find "$extracted" -path "*bin/$name")" "$out/bin/"; done

for file in $(libraries "$out$home"/bin/* "$out$home"/lib/*.so "$out"/bin/*); do
	[ ! -e "$base$file" ] || continue
	mkdir -p "$out$(dirname "$file")"
	cp -Lp "$file" "$out$file"
done
echo "postgres $version: $(du -sk --apparent-size "$out" | cut -f 1) KiB"

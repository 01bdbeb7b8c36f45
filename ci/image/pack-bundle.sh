#!/bin/sh
# Pack one bundle, as root, from what there is (ci/bundle.sh):
#
#   pack-bundle.sh PROVISION NAME KIND PLATFORM REGISTRY TAG ARCHIVE
#
# `start` is the first file of it and `manifest`, with the checksums, the last: half a bundle
# says that it is half.
set -eu

provision=$1 name=$2 kind=$3 platform=$4 registry=$5 tag=$6 archive=$7
case $kind in
broker) identity=$provision/broker ;;
node) identity=$provision/nodes/$name ;;
esac
umask 077
# Nobody changes an identity meanwhile.
exec 9>"$provision/.lock"
flock 9
work=$provision/.bundle
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
top=$work/$name
mkdir -p "$top"

cp compose/provision/start "$top/"
cp "$archive" "$top/images.tar"
cp compose/services.yml "$top/"
for file in "compose/$kind.yml" compose/gpio.yml compose/devices.yml compose/devices-plain.yml; do
	case $kind-$file in
	node-*/devices* | broker-*/gpio.yml) continue ;;
	esac
	[ ! -e "$file" ] || cp "$file" "$top/"
done
cp -R compose/mosquitto "$top/"
# Their owners are those of the services, and stay.
cp -Rp "$identity" "$top/identity"
mv "$top/identity/env" "$work/env"
{
	echo "# What this bundle sets. ./start makes .env of it and of settings.env, which is yours."
	cat "$work/env"
	[ "$kind" != broker ] || echo "BROKER_IDENTITY=./identity"
	printf '%s\n' "REGISTRY=$registry" "TAG=$tag"
} >"$top/bundle.env"
cat >"$top/README" <<END
This is $name ($kind, $platform, version $tag). It needs Docker with Compose. As root:  ./start
Your own settings stand in settings.env here, a line each, such as SENSORS=climate=dht22@7/2s; ./start again applies them.
A newer bundle is unpacked over this one (tar -xf $name.tar, one folder up), then ./start: settings and data stay.
See: docker compose ps; docker compose logs publisher. Stop: docker compose down (what is not sent yet is kept).
identity/ holds this board's keys: keep $name.tar where nobody else reads it, or remove it once the board runs.
END
[ "$kind" = node ] ||
	sed -i -e 's/SENSORS=climate=dht22@7\/2s/RETENTION=raw:30d,1m:1y/; s/logs publisher/logs ingest/; s/(what is not sent yet is kept)/(the readings are kept)/' "$top/README"

# Compose files are read by whoever asks for them, keys by their owners alone.
chmod 755 "$top" "$top/start"
chmod -R u=rwX,go=rX "$top/mosquitto"
chmod 644 "$top"/*.yml "$top/README" "$top/bundle.env" "$top/images.tar"
cd "$top"
tar -cf - . | tar -tf - | sed -n 's,^\./,,; /./{/\/$/!p}' | LC_ALL=C sort >"$work/files"
{
	printf '# %s %s %s %s\n' "$kind" "$name" "$platform" "$tag"
	while IFS= read -r file; do
		# mosquitto writes this one anew; ./start only looks whether it is whole.
		[ "$file" = identity/mosquitto/dynamic-security.json ] || sha256sum "$file"
	done <"$work/files"
	echo "# complete"
} >manifest
chmod 644 manifest
cd "$work"
tar --numeric-owner -cf new.tar "$name/start"
tar --numeric-owner -rf new.tar --exclude "$name/start" --exclude "$name/manifest" "$name"
tar --numeric-owner -rf new.tar "$name/manifest"
sync new.tar
chown "$(stat -c %u:%g "$provision")" new.tar
mv new.tar "$provision/$name.tar"

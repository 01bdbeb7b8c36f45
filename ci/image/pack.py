"""Compress the layers of OCI archives as far as zstd can, and say how large the images are.

    pack.py DIR

DIR/*.tar are OCI archives as BuildKit writes them, with layers that are not compressed
(its own zstd stops at about level 11, a tenth larger). They are replaced. What was
compressed before is taken from DIR/layers.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
# 8 MiB of window, which every decoder has to have (RFC 8878).
COMPRESS = ["zstd", "--quiet", "--ultra", "-22", "--zstd=wlog=23", "--force"]

# What is pulled together.
STACKS = {
    "node stack": ("sampler", "publisher", "broker"),
    "broker stack": ("ingest", "retention-pruner", "broker"),
}


def dump(document):
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


class Archive:
    """An OCI archive: blobs by digest, and the index that names them."""

    def __init__(self, path):
        self.path = path
        with tarfile.open(path) as tar:
            files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
        self.index = json.loads(files["index.json"])
        self.blobs = {
            name.removeprefix("blobs/").replace("/", ":"): data
            for name, data in files.items()
            if name.startswith("blobs/")
        }

    def json(self, descriptor):
        return json.loads(self.blobs[descriptor["digest"]])

    def put(self, data, descriptor, **changes):
        """Keep a blob; a descriptor of it that is otherwise like the one given."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {**descriptor, **changes, "digest": digest, "size": len(data)}

    def reachable(self, descriptor):
        """Digests of a manifest or index and of all below it."""
        found = {descriptor["digest"]}
        if descriptor["mediaType"].endswith(("manifest.v1+json", "index.v1+json")):
            document = self.json(descriptor)
            below = [*document.get("manifests", []), *document.get("layers", [])]
            if "config" in document:
                below.append(document["config"])
            for each in below:
                found |= self.reachable(each)
        return found

    def platforms(self):
        """{platform: (manifest's size, manifest)} of the images, without attestations."""
        found = {}

        def walk(descriptor):
            document = self.json(descriptor)
            for each in document.get("manifests", []):
                walk(each)
            if "config" in document and not is_attestation(descriptor):
                config = self.json(document["config"])
                name = "/".join(filter(None, (config["os"], config["architecture"], config.get("variant"))))
                found[name] = (descriptor["size"], document)

        for descriptor in self.index["manifests"]:
            walk(descriptor)
        return found

    def write(self):
        """Replace the file; the same content gives the same bytes."""
        kept = set()
        for descriptor in self.index["manifests"]:
            kept |= self.reachable(descriptor)
        files = {"blobs/" + digest.replace(":", "/"): self.blobs[digest] for digest in kept}
        files["index.json"] = dump(self.index)
        files["oci-layout"] = dump({"imageLayoutVersion": "1.0.0"})
        new = self.path.with_suffix(".new")
        with tarfile.open(new, "w") as tar:
            for name in sorted(files):
                member = tarfile.TarInfo(name)
                member.size = len(files[name])
                member.mode = 0o644
                tar.addfile(member, io.BytesIO(files[name]))
        new.replace(self.path)


def is_attestation(descriptor):
    kind = descriptor.get("annotations", {}).get("vnd.docker.reference.type")
    return kind == "attestation-manifest"


class Packer:
    """Rewrites one archive from its layers upwards."""

    def __init__(self, archive, cache):
        self._archive = archive
        self._cache = cache
        self._renamed = {}  # digest of a manifest before: after

    def pack(self):
        index = self._archive.index
        index["manifests"] = [self._descriptor(each) for each in index["manifests"]]
        self._archive.write()

    def _descriptor(self, old):
        document = self._archive.json(old)
        if "manifests" in document:
            # What is attested has its new digest before the attestation is looked at.
            ordered = sorted(document["manifests"], key=is_attestation)
            document["manifests"] = [self._descriptor(each) for each in ordered]
            return self._archive.put(dump(document), old)
        if is_attestation(old):
            return self._attestation(old, document)
        document["layers"] = [self._layer(each) for each in document["layers"]]
        new = self._archive.put(dump(document), old)
        self._renamed[old["digest"]] = new["digest"]
        return new

    def _layer(self, old):
        packed = self._cache / old["digest"].split(":")[1]
        if not packed.exists():
            plain = packed.with_suffix(".plain")
            plain.write_bytes(self._archive.blobs[old["digest"]])
            # From a file, so that the window is no larger than the layer.
            new = packed.with_suffix(".new")
            subprocess.run([*COMPRESS, "-o", new, plain], check=True)
            plain.unlink()
            new.replace(packed)
        return self._archive.put(packed.read_bytes(), old, mediaType=ZSTD)

    def _attestation(self, old, document):
        """The same statements about the image's new digest."""
        config = self._archive.json(document["config"])
        layers = []
        for layer in document["layers"]:
            statement = self._archive.json(layer)
            for subject in statement["subject"]:
                before = "sha256:" + subject["digest"]["sha256"]
                subject["digest"]["sha256"] = self._renamed[before].split(":")[1]
            layers.append(self._archive.put(dump(statement), layer))
        config["rootfs"]["diff_ids"] = [layer["digest"] for layer in layers]
        document["layers"] = layers
        document["config"] = self._archive.put(dump(config), document["config"])
        about = old["annotations"]["vnd.docker.reference.digest"]
        notes = {**old["annotations"], "vnd.docker.reference.digest": self._renamed[about]}
        return self._archive.put(dump(document), old, annotations=notes)


def sizes(archives):
    """{(image or stack, platform): bytes to pull}, layers that a stack's images share once."""
    found = {}
    layers = {}
    for name, archive in archives.items():
        for platform, (own, manifest) in archive.platforms().items():
            parts = {each["digest"]: each["size"] for each in manifest["layers"]}
            layers[name, platform] = parts
            found[name, platform] = own + manifest["config"]["size"] + sum(parts.values())
    for stack, names in STACKS.items():
        for platform in {platform for _, platform in layers}:
            if all((name, platform) in layers for name in names):
                parts = {k: v for name in names for k, v in layers[name, platform].items()}
                found[stack, platform] = sum(parts.values())
    return found


def show(found):
    """The table, in MB."""
    platforms = sorted({platform for _, platform in found})
    names = list(dict.fromkeys(name for name, _ in found))
    print(f"    {'MB compressed':<18}" + "".join(f"{platform:>14}" for platform in platforms))
    for name in names:
        cells = (found.get((name, platform)) for platform in platforms)
        print(f"    {name:<18}" + "".join(f"{cell / 1e6:14.2f}" if cell else f"{'':14}" for cell in cells))


def main(directory):
    directory = Path(directory)
    paths = sorted(directory.glob("*.tar"))
    if not paths:
        sys.exit(f"pack.py: {directory} has no OCI archive (*.tar)")
    cache = directory / "layers"
    cache.mkdir(exist_ok=True)
    archives = {}
    for path in paths:
        archives[path.stem] = archive = Archive(path)
        Packer(archive, cache).pack()
    used = {digest for archive in archives.values() for digest in archive.blobs}
    for packed in cache.iterdir():
        if f"sha256:{packed.name}" not in used:
            packed.unlink()
    found = sizes(archives)
    show(found)
    table = [{"image": n, "platform": p, "bytes": b} for (n, p), b in found.items()]
    (directory / "sizes.json").write_text(json.dumps(table), encoding="utf-8")


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1])

"""Make an SPDX 2.3 document for each image from what owners.sh found.

    sbom.py OWNERS OUT PLATFORM VERSION EPOCH

OWNERS has the files `files` and `packages` and the folder `copyright`; a document is
OUT/<image>_<platform>.spdx.json. Licences are as Debian's copyright files declare them for
the whole source package: an image has a part of it.
"""

import csv
import datetime
import hashlib
import json
import re
import sys
from pathlib import Path

OWN = "dewpoint"
# Debian's short names that are not SPDX's own, once lower-case.
SPDX_IDS = {
    "expat": "MIT",
    "apache-2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "bsd-1-clause": "BSD-1-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc0-1.0": "CC0-1.0",
    "edl-1.0": "BSD-3-Clause",
    "epl-1.0": "EPL-1.0",
    "epl-2.0": "EPL-2.0",
    "gpl-1+": "GPL-1.0-or-later",
    "gpl-2": "GPL-2.0-only",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-2+": "GPL-2.0-or-later",
    "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only",
    "gpl-3+": "GPL-3.0-or-later",
    "isc": "ISC",
    "lgpl-2": "LGPL-2.0-only",
    "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.0+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-2.1+": "LGPL-2.1-or-later",
    "lgpl-3+": "LGPL-3.0-or-later",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "mit-0": "MIT-0",
    "unlicense": "Unlicense",
    "x11": "X11",
    "zlib": "Zlib",
}


def rows(path):
    """The lines of a file of owners.sh."""
    with open(path, encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def reference(*words):
    """An identifier as SPDX allows it."""
    return "-".join(re.sub(r"[^A-Za-z0-9.-]", "-", word) for word in words)


class Copyright:
    """What a package's copyright file declares."""

    def __init__(self, package, text):
        self._package = package
        self._text = text
        self._names = []
        if text.startswith("Format:"):
            found = re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)
            self._names = sorted({name.strip() for line in found for name in self._split(line)})

    @staticmethod
    def _split(line):
        """Names of an expression; which of them may be chosen is not kept."""
        return re.split(r",?\s+(?:and|or|and/or)\s+", line)

    def expression(self):
        """An SPDX expression, and {id: text} of the licences that SPDX does not know."""
        parts, others = set(), {}
        for name in self._names:
            spdx = name if name in SPDX_IDS.values() else SPDX_IDS.get(name.lower())
            if spdx is None:
                spdx = reference("LicenseRef", self._package, name)
                others[spdx] = self._paragraph(name)
            parts.add(spdx)
        if not parts:
            whole = reference("LicenseRef", self._package)
            return whole, {whole: self._text}
        return " AND ".join(sorted(parts)), others

    def _paragraph(self, name):
        """The text of a licence, or the whole file where it has none of its own."""
        pattern = rf"^License:[ \t]*{re.escape(name)}[ \t]*\n((?:[ \t].*\n)+)"
        texts = re.findall(pattern, self._text + "\n", re.MULTILINE)
        return max(texts, key=len) if texts else self._text


def own_package(image, version):
    return {
        "SPDXID": reference("SPDXRef-Package", OWN),
        "name": OWN,
        "versionInfo": version,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": True,
        "licenseConcluded": "MIT",
        "licenseDeclared": "MIT",
        "copyrightText": "NOASSERTION",
        "comment": f"Dewpoint's own files of the image {image}",
    }


def debian_package(name, version, architecture, source, source_version, expression):
    purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}&distro=trixie"
    return {
        "SPDXID": reference("SPDXRef-Package", name),
        "name": name,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "sourceInfo": f"built from Debian's source package {source} {source_version}",
        "filesAnalyzed": True,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": expression,
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
        ],
    }


def verification_code(sha1s):
    """SPDX 2.3, 7.9."""
    return hashlib.sha1("".join(sorted(sha1s)).encode()).hexdigest()


def document(image, platform, version, created, files, packages, copyrights):
    """The SPDX document of one image."""
    names = sorted({row[4] for row in files})
    relations, texts, described = [], {}, []
    for name in names:
        if name == OWN:
            package = own_package(image, version)
        else:
            expression, others = Copyright(name, copyrights[name]).expression()
            texts |= others
            package = debian_package(*packages[name], expression)
        described.append(package)
        relations.append(("SPDXRef-Image", "CONTAINS", package["SPDXID"]))
    contents, sums = [], {name: [] for name in names}
    for number, (_, path, sha1, sha256, name) in enumerate(files, 1):
        owner = reference("SPDXRef-Package", name)
        if sha1 == "-":
            continue  # a link: it has no content
        entry = {
            "SPDXID": f"SPDXRef-File-{number}",
            "fileName": "." + path,
            "checksums": [
                {"algorithm": "SHA1", "checksumValue": sha1},
                {"algorithm": "SHA256", "checksumValue": sha256},
            ],
            "licenseConcluded": "NOASSERTION",
            "licenseInfoInFiles": ["NOASSERTION"],
            "copyrightText": "NOASSERTION",
        }
        contents.append(entry)
        sums[name].append(sha1)
        relations.append((owner, "CONTAINS", entry["SPDXID"]))
    for package in described:
        own = sums[package["name"]]
        if own:
            code = {"packageVerificationCodeValue": verification_code(own)}
            package["packageVerificationCode"] = code
        else:
            package["filesAnalyzed"] = False
    whole = {
        "SPDXID": "SPDXRef-Image",
        "name": f"{OWN}/{image}",
        "versionInfo": version,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
        "comment": f"image for {platform}",
    }
    digest = hashlib.sha256(json.dumps([files, version]).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{OWN}-{image}-{platform.replace('/', '-')}",
        "documentNamespace": f"https://spdx.org/spdxdocs/{OWN}-{image}-{digest[:32]}",
        "creationInfo": {"created": created, "creators": ["Tool: dewpoint-ci-sbom"]},
        "packages": [whole, *described],
        "files": contents,
        "hasExtractedLicensingInfos": [
            {"licenseId": key, "extractedText": text} for key, text in sorted(texts.items())
        ],
        "relationships": [
            {"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}
            for a, kind, b in [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"), *relations]
        ],
    }


def main(owners, out, platform, version, epoch):
    owners, out = Path(owners), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    moment = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    created = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    files = rows(owners / "files")
    packages = {row[0]: row for row in rows(owners / "packages")}
    copyrights = {
        path.name: path.read_text(encoding="utf-8") for path in (owners / "copyright").iterdir()
    }
    for image in sorted({row[0] for row in files}):
        mine = [row for row in files if row[0] == image]
        made = document(image, platform, version, created, mine, packages, copyrights)
        path = out / f"{image}_{platform.replace('/', '_')}.spdx.json"
        path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Makes the bill of materials of the image out of what Cargo says; packaging/sbom.sh calls it.

usage: sbom.py FOLDER BINARY LIBC RUST COMMIT FILE      RUST and COMMIT are the compiler's

FOLDER has crate/bom.json (of cargo-cyclonedx), linked (name and version, a line each) and metadata (of cargo).
"""

import json
import pathlib
import re
import sys
import uuid

folder, binary, libc, rust, commit, file = sys.argv[1:]
folder = pathlib.Path(folder)
program = pathlib.Path(binary).read_bytes()
faults = []

linked = {tuple(line.split()) for line in (folder / "linked").read_text().splitlines()}
packages = {package["name"]: package for package in json.loads((folder / "metadata").read_text())["packages"]}
bom = json.loads((folder / "crate/bom.json").read_text())
own = bom["metadata"]["component"]


def key(component):
    return component["name"], component["version"]


# References without the folder in which this ran.
names = {own["bom-ref"]: f"pkg:cargo/{own['name']}@{own['version']}"}
for component in bom["components"]:
    names[component["bom-ref"]] = component["purl"]
own.pop("components", None)
own["bom-ref"] = own["purl"] = names[own["bom-ref"]]
bom["components"] = [component for component in bom["components"] if key(component) in linked]
for component in bom["components"]:
    component["bom-ref"] = names[component["bom-ref"]]
listed = {key(component) for component in [own, *bom["components"]]}
if listed != linked:
    faults.append(f"cargo-cyclonedx and cargo tree differ about {sorted(listed ^ linked)}")


def beside(crate, path, pattern):
    """A version that stands in the source of a crate."""
    source = pathlib.Path(packages[crate]["manifest_path"]).parent / path
    found = re.search(pattern, source.read_text())
    return found[1] if found else faults.append(f"no version in {crate}/{path}") or ""


def after(crate, pattern):
    """A version that a crate has after the plus of its own."""
    found = re.search(pattern, packages[crate]["version"])
    return found[1] if found else faults.append(f"no version in that of {crate}") or ""


musl = re.search(rb"\0(1\.\d+\.\d+)\0", pathlib.Path(libc).read_bytes())
openssl = after("openssl-src", r"\+(.+)$")
zlib = beside("libz-sys", "src/zlib/zlib.h", r'#define ZLIB_VERSION "([\d.]+)')
librdkafka = after("rdkafka-sys", r"\+(.+)$")
# Each with the crate that brings it, its licence, and what it says of itself in the binary. zstd and musl say nothing there,
# and librdkafka only when it runs: tests/image/ asks it.
libraries = [
    ("librdkafka", librdkafka, "rdkafka-sys", "BSD-2-Clause", ""),
    ("openssl", openssl, "openssl-sys", "Apache-2.0", f"OpenSSL {openssl} "),
    ("zlib", zlib, "libz-sys", "Zlib", f"\0{zlib}\0"),
    ("zstd", after("zstd-sys", r"zstd\.(.+)$"), "zstd-sys", "BSD-3-Clause", ""),
    ("rust", rust, own["name"], "MIT OR Apache-2.0", f"/rustc/{commit}/"),
    ("musl", musl[1].decode() if musl else faults.append(f"no version in {libc}") or "", own["name"], "MIT", ""),
]
dependencies = {names[d["ref"]]: d.get("dependsOn", []) for d in bom["dependencies"] if d["ref"] in names}
kept = {component["bom-ref"] for component in [own, *bom["components"]]}
dependencies = {
    ref: [names[on] for on in ons if names.get(on) in kept] for ref, ons in dependencies.items() if ref in kept
}
for name, version, crate, licence, mark in libraries:
    purl = f"pkg:generic/{name}@{version}"
    bom["components"].append(
        {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "licenses": [{"expression": licence}],
            "purl": purl,
        }
    )
    parents = [ref for ref in dependencies if ref.startswith(f"pkg:cargo/{crate}@")]
    if len(parents) != 1:
        faults.append(f"{name} comes with {crate}, which is linked {len(parents)} times")
    for parent in parents:
        dependencies[parent].append(purl)
    if mark.encode() not in program:
        faults.append(f"the binary does not say that it has {name} {version}: no {mark!r} in it")
bom["dependencies"] = [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(dependencies.items())]
bom["components"].sort(key=lambda component: component["bom-ref"])
bom.pop("serialNumber", None)
text = json.dumps(bom, indent=2, ensure_ascii=False) + "\n"
bom = {**bom, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}"}
text = json.dumps(bom, indent=2, ensure_ascii=False) + "\n"
if "file:" in text or str(folder) in text:
    faults.append("it names a folder of this machine")
if faults:
    sys.exit("\n".join(["error:", *faults]))
pathlib.Path(file).write_text(text)
print(f"{len(kept)} crates and {len(libraries)} other libraries")

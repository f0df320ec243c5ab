#!/usr/bin/env bash
# Installs what the Helm chart is tested with, in $TRAILTAG_COMPONENTS/helm-VERSION-NUMBER: helm, kubeconform and helm-unittest,
# built from the Go module proxy, and the schemas that manifests are held against: Kubernetes' own, and those of the kinds that
# the Prometheus operator and KEDA add. Prints that folder. Does nothing when it is there.
#   bin/      helm, kubeconform, helm-unittest
#   schemas/  1.30 … 1.36 and crds, for kubeconform
#   crds/     the definitions of those kinds, for an API server
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

helm=3.22.0
kubeconform=0.7.0
unittest=1.1.2
kubernetes_validate=1.37.0
kubernetes_validate_sha256=85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9
operator=0.85.0
keda=2.21.0
# To be raised with every change below, since it names the folder.
number=1
home=$TRAILTAG_COMPONENTS/helm-$helm-$number
if [ -d "$home" ]; then
    echo "$home"
    exit 0
fi

"$repository/tests/components/packages.sh" test
command -v go >/dev/null ||
    fail "go is missing, with which helm is built. Install Go 1.21 or newer (https://go.dev/doc/install) and try again"
say "building helm $helm, kubeconform $kubeconform and helm-unittest $unittest, once (some minutes)"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is put together aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
# -modcacherw lets the modules be removed again.
export GOMODCACHE=$part/build/mod GOCACHE=$part/build/cache GOBIN=$part/bin CGO_ENABLED=0 GOFLAGS='-modcacherw -trimpath -buildvcs=false'
trap 'rm -rf "$part"' EXIT
mkdir -p "$part/build/unittest" "$part/bin" "$part/schemas" "$part/crds"

# Without the symbols for a debugger they are half as large.
small=(-ldflags '-s -w')
retry go install "${small[@]}" "helm.sh/helm/v3/cmd/helm@v$helm" >&2 || fail "go install helm $helm failed"
retry go install "${small[@]}" "github.com/yannh/kubeconform/cmd/kubeconform@v$kubeconform" >&2 ||
    fail "go install kubeconform $kubeconform failed"

# `go install` refuses a module that replaces another: it is built out of a module with the same replacement.
cd "$part/build/unittest"
cat >go.mod <<MODULE
module trailtag.test/unittest

go 1.26.0

tool github.com/helm-unittest/helm-unittest/cmd/helm-unittest

require github.com/helm-unittest/helm-unittest v$unittest

replace github.com/vmware-labs/yaml-jsonpath v0.3.2 => github.com/helm-unittest/yaml-jsonpath v0.4.0
MODULE
retry go mod tidy >&2 || fail "the modules of helm-unittest $unittest could not be fetched"
go build "${small[@]}" -o "$part/bin/helm-unittest" github.com/helm-unittest/helm-unittest/cmd/helm-unittest >&2 ||
    fail "go build helm-unittest $unittest failed"

# module NAME VERSION: fetches a module without what it needs, and prints its folder.
module() { retry go mod download -json "$1@v$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }
folder=$(module github.com/prometheus-operator/prometheus-operator "$operator")
cp "$folder"/example/prometheus-operator-crd/monitoring.coreos.com_{podmonitors,servicemonitors,prometheusrules}.yaml "$part/crds/" ||
    fail "prometheus-operator $operator has no such definitions"
folder=$(module github.com/kedacore/keda/v2 "$keda")
cp "$folder"/config/crd/bases/keda.sh_{scaledobjects,triggerauthentications}.yaml "$part/crds/" || fail "KEDA $keda has no such definitions"

# A download that is not what was pinned fails here. Only its schemas are read.
echo "kubernetes-validate==$kubernetes_validate --hash=sha256:$kubernetes_validate_sha256" >"$part/build/pip.txt"
PIP_ROOT_USER_ACTION=ignore retry python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
    --require-hashes --requirement "$part/build/pip.txt" --target "$part/build/pip" >&2 ||
    fail "pip could not fetch kubernetes-validate $kubernetes_validate"

# Helm itself turns the definitions' YAML into JSON, which Python reads without a package.
mkdir -p "$part/build/json/templates"
cp "$part"/crds/*.yaml "$part/build/json/"
printf 'apiVersion: v2\nname: json\nversion: 0.0.0\n' >"$part/build/json/Chart.yaml"
cat >"$part/build/json/templates/all.yaml" <<'TEMPLATE'
{{- range $path, $_ := .Files.Glob "*.yaml" }}
---
{{ $.Files.Get $path | fromYaml | toJson }}
{{- end }}
TEMPLATE
"$part/bin/helm" template json "$part/build/json" >"$part/build/crds.txt" || fail "the definitions could not be read"

python3 - "$part" <<'PYTHON' || fail "the schemas could not be written"
import json, pathlib, sys

part = pathlib.Path(sys.argv[1])
source = part / "build/pip/kubernetes_validate/kubernetes-json-schema"


def local(node):
    """References into the file of definitions become references into the same file: kubeconform follows only those."""
    if isinstance(node, dict):
        return {
            key: "#/definitions/" + value.split("/")[-1] if key == "$ref" and isinstance(value, str) else local(value)
            for key, value in node.items()
        }
    return [local(item) for item in node] if isinstance(node, list) else node


def names(node, found):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                found.add(value.split("/")[-1])
            else:
                names(value, found)
    elif isinstance(node, list):
        for item in node:
            names(item, found)
    return found


for minor in range(30, 37):
    folder = source / f"v1.{minor}.0-local-strict"
    definitions = local(json.loads((folder / "_definitions.json").read_text())["$defs"])
    target = part / "schemas" / f"1.{minor}"
    target.mkdir()
    for path in sorted(folder.glob("*-v*.json")):
        schema = local(json.loads(path.read_text()))
        if "x-kubernetes-group-version-kind" not in schema:
            continue
        needed, waiting = set(), names(schema, set())
        while waiting:
            name = waiting.pop()
            if name not in needed and name in definitions:
                needed.add(name)
                waiting |= names(definitions[name], set())
        schema["definitions"] = {name: definitions[name] for name in needed}
        schema.pop("$schema", None)
        (target / path.name).write_text(json.dumps(schema))


def strict(node):
    """An API server drops a key that a definition does not name. Here it is a fault."""
    if isinstance(node, dict):
        node = {key: strict(value) for key, value in node.items()}
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node.setdefault("additionalProperties", False)
        if node.pop("x-kubernetes-int-or-string", False):
            node.pop("type", None)
    elif isinstance(node, list):
        return [strict(item) for item in node]
    return node


target = part / "schemas" / "crds"
target.mkdir()
for line in (part / "build/crds.txt").read_text().splitlines():
    if not line.startswith("{"):
        continue
    spec = json.loads(line)["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        # Every kind's metadata is the same: the API server checks it.
        schema["properties"]["metadata"] = {"type": "object"}
        name = f"{spec['names']['kind'].lower()}-{spec['group'].split('.')[0]}-{version['name']}.json"
        (target / name).write_text(json.dumps(schema))
PYTHON

rm -rf "$part/build"
chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home"

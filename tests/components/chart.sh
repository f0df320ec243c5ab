#!/usr/bin/env bash
# Tests the Helm chart: what is generated is fresh, every file in ci/ renders to manifests that Kubernetes 1.30 to 1.36 knows,
# its configuration is one that the program accepts, its unit tests pass, and a typo is refused.
# usage: chart.sh [PROGRAM]      PROGRAM is trailtag; without it, it is built.
# TRAILTAG_BLESS=1 writes what is generated, and the golden render, anew.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

program=${1:-}
tools=$("$repository/tests/components/helm.sh")
chart=$repository/helm/trailtag
golden=$chart/tests/golden.yaml
# The newest version that the schemas know; a helm that is built from its module knows none by itself.
newest=1.36
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

helm() { "$tools/bin/helm" "$@"; }
# render FILE ARGUMENTS...: the manifests with a file of values.
render() { helm template trailtag "$chart" --namespace security --kube-version "$newest" --values "$@"; }

say "is the chart fresh?"
if [ -n "${TRAILTAG_BLESS:-}" ]; then "$chart/generate.py"; else "$chart/generate.py" --check; fi

for file in "$chart"/ci/*-values.yaml; do
    name=$(basename "$file" -values.yaml)
    say "values $name"
    helm lint --strict --quiet --kube-version "$newest" --values "$file" "$chart" || fail "helm lint fails with $file"
    render "$file" >"$work/$name.yaml" || fail "helm template fails with $file"
    for schemas in "$tools"/schemas/1.*; do
        "$tools/bin/kubeconform" -strict -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" \
            -schema-location "$tools/schemas/crds/{{.ResourceKind}}{{.KindSuffix}}.json" "$work/$name.yaml" ||
            fail "Kubernetes $(basename "$schemas") does not know what comes of $file"
    done
done

say "does the program accept the configuration?"
if [ -z "$program" ]; then
    cargo build --quiet
    program=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug/trailtag
fi
for name in default pods autoscaling; do
    awk '/^  trailtag.yaml: \|/ { inside = 1; next } inside && !/^    / && !/^ *$/ { exit } inside { sub(/^    /, ""); print }' \
        "$work/$name.yaml" >"$work/$name.config.yaml"
    [ -s "$work/$name.config.yaml" ] || fail "no configuration in the manifests of $name"
    "$program" check --config "$work/$name.config.yaml" >/dev/null || fail "trailtag refuses the configuration of $name"
done

say "a typo is refused"
# Of every depth: a value of the chart's, a setting of the program's, and the password, which belongs in a Secret.
for typo in replica=3 config.kafka.bootstrap_server=x config.kafka.group=x monitoring.podMonitor.enable=true \
    config.kafka.security.sasl.password=x secrets.httpTls.secret=x resources.limit.cpu=1; do
    if render "$chart/ci/default-values.yaml" --set "$typo" >/dev/null 2>"$work/error"; then
        fail "$typo is accepted"
    fi
    grep -q "additional properties" "$work/error" || fail "$typo is refused for another reason: $(cat "$work/error")"
done

say "a changed configuration reaches the pods"
# checksum ARGUMENTS...: what the pods' template says of the configuration.
checksum() { render "$chart/ci/default-values.yaml" "$@" | sed -n 's/^ *checksum\/config: *//p'; }
[ -n "$(checksum)" ] || fail "no checksum/config in the pods' template"
[ "$(checksum)" = "$(checksum)" ] || fail "the checksum changes by itself"
[ "$(checksum)" != "$(checksum --set config.workers=3)" ] || fail "the checksum does not follow the configuration"
# A file that is mounted by subPath never changes in a running pod.
if grep -n "subPath" "$work"/*.yaml; then fail "a mount by subPath does not follow its ConfigMap"; fi

say "unit tests"
"$tools/bin/helm-unittest" --strict "$chart"

say "golden render"
if [ -n "${TRAILTAG_BLESS:-}" ]; then cp "$work/default.yaml" "$golden"; fi
diff -u "$golden" "$work/default.yaml" || fail "the default render changed: look at it, then TRAILTAG_BLESS=1 $0"
say "the chart passes"

#!/usr/bin/env bash
# Installs dashcheck in $TRAILTAG_COMPONENTS/dashcheck-VERSION-SOURCE, and prints the program's path. Does nothing when it is there.
# It reads dashboards as Grafana's own library for them does, which knows each key of each kind of panel and query:
#   dashcheck FILE...      names what is unknown, missing or of the wrong type
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Grafana's foundation SDK (Apache-2.0), from the Go module proxy.
version=0.0.18
source=$repository/tests/observability/dashcheck.go
home=$TRAILTAG_COMPONENTS/dashcheck-$version-$(sha256sum "$source" | cut -c 1-8)
if [ -x "$home/dashcheck" ]; then
    echo "$home/dashcheck"
    exit 0
fi

"$repository/tests/components/packages.sh" test
# Go 1.21 and later fetch the toolchain that a module asks for.
[ "$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')" -ge 21 ] ||
    fail "$(go version) is too old to build dashcheck; install Go 1.21 or later (https://go.dev/dl)"
say "building dashcheck $version into $home (a minute)"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is built aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
cp "$source" "$part/main.go"
cat >"$part/go.mod" <<MOD
module localhost/dashcheck

go 1.21

require github.com/grafana/grafana-foundation-sdk/go v$version
MOD
(
    cd "$part"
    export GOFLAGS=-mod=mod GOWORK=off GOTOOLCHAIN=auto CGO_ENABLED=0
    retry go mod tidy >&2 || fail "go could not fetch Grafana's foundation SDK $version"
    # Two packages at a time: each takes memory.
    retry go build -p 2 -trimpath -ldflags '-s -w' -o dashcheck . >&2 || fail "go could not build dashcheck $version"
)
chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home/dashcheck"

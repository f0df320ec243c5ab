#!/usr/bin/env bash
# Installs toxiproxy's server (MIT), built from the Go module proxy, in $TRAILTAG_COMPONENTS/toxiproxy-VERSION, and prints the
# program's path. Does nothing when it is there. It stands between a client and a broker, and slows, cuts or swallows
# what goes through.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# tests/faults/proxy.rs looks for the same version.
version=2.12.0
home=$TRAILTAG_COMPONENTS/toxiproxy-$version
if [ -x "$home/toxiproxy-server" ]; then
    echo "$home/toxiproxy-server"
    exit 0
fi

"$repository/tests/components/packages.sh" test
# Go 1.21 and later fetch the toolchain that a module asks for.
[ "$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')" -ge 21 ] ||
    fail "$(go version) is too old to build toxiproxy; install Go 1.21 or later (https://go.dev/dl)"
say "building toxiproxy $version into $home (a minute)"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is built aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
(
    export GOBIN=$part GOFLAGS="" GOWORK=off GOTOOLCHAIN=auto CGO_ENABLED=0
    # Two packages at a time: each takes memory.
    retry go install -p 2 -trimpath -ldflags '-s -w' "github.com/Shopify/toxiproxy/v2/cmd/server@v$version" >&2 ||
        fail "go could not build toxiproxy $version"
)
mv "$part/server" "$part/toxiproxy-server"
chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home/toxiproxy-server"

#!/usr/bin/env bash
# Installs cargo-cyclonedx, which lists the crates of a build, in $TRAILTAG_COMPONENTS/cargo-cyclonedx-VERSION, and prints the
# program's path. Does nothing when it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=0.5.9
home=$TRAILTAG_COMPONENTS/cargo-cyclonedx-$version
if [ ! -x "$home/bin/cargo-cyclonedx" ]; then
    say "building cargo-cyclonedx $version, once (a minute)"
    mkdir -p "$TRAILTAG_COMPONENTS"
    build=$(mktemp -d "$home.build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    # It runs for a second: time that the optimizer takes would never come back.
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
    retry cargo install --quiet --locked --version "$version" --root "$home" --target-dir "$build" cargo-cyclonedx >&2 ||
        fail "cargo install cargo-cyclonedx failed"
fi
echo "$home/bin/cargo-cyclonedx"

#!/usr/bin/env bash
# Installs what fuzzing needs: the nightly Rust that libFuzzer's instrumentation asks for, by rustup, and cargo-fuzz in
# $TRAILTAG_COMPONENTS/cargo-fuzz-VERSION. Prints the toolchain's name and cargo-fuzz's folder. Does nothing for what is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# By date: another nightly may not build what this one does.
nightly="nightly-2026-05-20"
version=0.13.2

if ! rustc "+$nightly" --version >/dev/null 2>&1; then
    command -v rustup >/dev/null || fail "fuzzing needs Rust $nightly, and rustup, which installs it, is missing: see https://rustup.rs"
    say "installing Rust $nightly (90 MB)"
    retry rustup toolchain install "$nightly" --profile minimal >&2 ||
        fail "fuzzing needs Rust $nightly, and 'rustup toolchain install $nightly' failed: static.rust-lang.org must be reachable.
    The seeds run without it: cargo test --test fuzz_replay"
fi

home=$TRAILTAG_COMPONENTS/cargo-fuzz-$version
if [ ! -x "$home/bin/cargo-fuzz" ]; then
    say "building cargo-fuzz $version, once (a minute)"
    mkdir -p "$TRAILTAG_COMPONENTS"
    build=$(mktemp -d "$home.build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    # What it does takes no time: that of the optimizer would never come back.
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
    retry cargo install --quiet --locked --version "$version" --root "$home" --target-dir "$build" cargo-fuzz >&2 ||
        fail "cargo install cargo-fuzz failed"
fi
echo "$nightly $home/bin"

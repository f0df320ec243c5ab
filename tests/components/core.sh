#!/usr/bin/env bash
# Builds the library without the service: on this machine, where a warning is an error, and for wasm32-wasip1.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

target=wasm32-wasip1

# The flag is for the library alone: RUSTFLAGS would build all dependencies anew.
cargo rustc --quiet --lib --no-default-features -- -D warnings
say "the library without the service: no warnings"

if ! [ -d "$(rustc --print target-libdir --target "$target")" ] &&
    ! { command -v rustup >/dev/null && retry rustup target add "$target"; }; then
    say "NOT BUILT: the library for $target, whose standard library cannot be had here (rustup target add $target)"
    exit 0
fi
cargo build --quiet --lib --no-default-features --target "$target"
say "the library without the service: built for $target"

#!/usr/bin/env bash
# Builds the library without the service: on this machine, where a warning is an error, and for wasm32-wasip1.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

host=$(rustc -vV | sed -n 's/^host: //p')
target=wasm32-wasip1
# A folder of its own: other features and flags would build the dependencies of the program anew.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/core

RUSTFLAGS='-D warnings' cargo check --quiet --lib --no-default-features --target "$host"
say "the library without the service: no warnings"

if ! [ -d "$(rustc --print target-libdir --target "$target")" ] &&
    ! { command -v rustup >/dev/null && retry rustup target add "$target"; }; then
    say "NOT BUILT: the library for $target, whose standard library cannot be had here (rustup target add $target)"
    exit 0
fi
cargo build --quiet --lib --no-default-features --target "$target"
say "the library without the service: built for $target"

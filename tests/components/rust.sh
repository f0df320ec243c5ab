#!/usr/bin/env bash
# Makes sure of the Rust toolchain that rust-toolchain.toml names.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

command -v cargo >/dev/null || fail "cargo is missing. Install Rust, open a new shell and try again:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"

cargo --version >/dev/null 2>&1 && exit 0

# rustup is told not to install by itself (RUSTUP_AUTO_INSTALL=0), or the first try failed.
command -v rustup >/dev/null || { cargo --version || fail "cargo does not run"; }
channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
say "installing Rust $channel"
retry rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy ||
    fail "rustup toolchain install $channel failed"

#!/usr/bin/env bash
# Writes the bill of materials of a static binary, as CycloneDX: the crates that are linked, and what else is.
# usage: packaging/sbom.sh BINARY TARGET FILE      BINARY was built for TARGET with --features vendored
# A scan of the image finds nothing: the binary is stripped. So the list is made of what Cargo links, and each library
# that is not Rust has to show its version in the binary.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tests/components/common.sh"
cd "$repository"
binary=${1:?a binary} target=${2:?a target} file=${3:?a file to write}
cyclonedx=$(tests/components/cargo-cyclonedx.sh)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The tool writes beside the manifest; and its own output names the folder, which is nobody's business.
mkdir "$work/crate"
cp Cargo.toml Cargo.lock rust-toolchain.toml "$work/crate"
ln -s "$repository"/{src,config,benches,tests} "$work/crate"
# No time of day: the same binary has the same list.
(cd "$work/crate" && SOURCE_DATE_EPOCH=0 "$cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 \
    --features vendored --target "$target" --no-build-deps --override-filename bom)
# Macros are run by the compiler and leave nothing of themselves.
cargo tree --locked --edges normal,no-proc-macro --features vendored --target "$target" --prefix none --format '{p}' |
    awk '{ print $1, substr($2, 2) }' | sort -u >"$work/linked"
# openssl-src and libz-sys are compiled into the crates beside them.
cargo metadata --locked --format-version 1 --features vendored --filter-platform "$target" >"$work/metadata"
libc=$(rustc --print sysroot)/lib/rustlib/$target/lib/self-contained/libc.a
compiler() { rustc -vV | sed -n "s/^$1: //p"; }
python3 packaging/sbom.py "$work" "$binary" "$libc" "$(compiler release)" "$(compiler commit-hash)" "$file" ||
    fail "the bill of materials of $binary does not hold"

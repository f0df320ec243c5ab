#!/usr/bin/env bash
# Makes the container image without Docker: the last stage of Dockerfile, by buildah, around a static binary built here.
# usage: packaging/image.sh [BINARY]      BINARY is a static binary that was built already
# Writes target/image/trailtag-VERSION.oci.tar and beside it trailtag-VERSION.cdx.json, its bill of materials; and runs what is
# in it: as the image's user, in a root of its own.
# Needs root, or a user namespace (`buildah unshare packaging/image.sh`).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tests/components/common.sh"
cd "$repository"

# Where neither overlay mounts nor namespaces are to be had, this works all the same.
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
limit_bytes=$((25 * 1024 * 1024))
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
target=$(uname -m)-unknown-linux-musl
authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
[ -f "$authorities" ] || fail "$authorities is missing: install ca-certificates, or name the file in SSL_CERT_FILE"

binary=${1:-}
if [ -z "$binary" ]; then
    tests/components/packages.sh image
    tests/components/rust.sh
    rustup target list --installed | grep -qx "$target" || retry rustup target add "$target"
    say "building the static binary (about ten minutes the first time)"
    CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked --features vendored --target "$target"
    binary=${CARGO_TARGET_DIR:-target}/$target/release/trailtag
else
    [ -x "$binary" ] || fail "$binary is not a program"
    tests/components/packages.sh image
fi
if ldd "$binary" 2>/dev/null | grep -q '=>'; then
    fail "$binary needs shared libraries, and the image has none: build it with --features vendored --target $target"
fi

work=$(mktemp -d)
container=
# shellcheck disable=SC2329 # the trap calls it
clean() {
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    rm -rf "$work"
}
trap clean EXIT
install -D -m 0755 "$binary" "$work/context/out/trailtag"
install -D -m 0644 "$authorities" "$work/context/out/etc/ssl/certs/ca-certificates.crt"
# The stage as it is; only what it copies comes from here instead of from the stage before.
sed -n '/^FROM scratch/,$ { s/^COPY --from=build \/out\//COPY out\//; p }' Dockerfile >"$work/context/Dockerfile"

out=target/image
archive=$out/trailtag-$version.oci.tar
mkdir -p "$out"
# The same files make the same image: no times, no history of this machine.
buildah bud --quiet --timestamp 0 --build-arg VERSION="$version" --tag "trailtag:$version" "$work/context" >/dev/null
rm -f "$archive"
buildah push --quiet "trailtag:$version" "oci-archive:$archive:$version" >/dev/null

container=$(buildah from "trailtag:$version")
root=$(buildah mount "$container")
files=$(cd "$root" && find . -type f | sort | tr '\n' ' ')
[ "$files" = "./etc/ssl/certs/ca-certificates.crt ./trailtag " ] || fail "the image should hold two files, and holds: $files"
[ "$(buildah inspect --format '{{.OCIv1.Config.User}}' "$container")" = 65532:65532 ] || fail "the image's user is not 65532:65532"
bytes=$(stat -c %s "$archive")
[ "$bytes" -le "$limit_bytes" ] || fail "the image has $bytes bytes, more than $limit_bytes"

inside() { chroot --userspec=65532:65532 "$root" /trailtag "$@"; }
[ "$(inside --version)" = "trailtag $version" ] || fail "the image's binary calls itself $(inside --version), not trailtag $version"
inside demo --records 300 --listen 127.0.0.1:0 >"$work/demo" 2>&1 || fail "the demo failed in the image: $(tail -n 5 "$work/demo")"
inside check >"$work/check" 2>&1 || fail "the default configuration is refused in the image: $(tail -n 5 "$work/check")"
packaging/sbom.sh "$binary" "$target" "$out/trailtag-$version.cdx.json"
say "$archive: $bytes bytes; binary $(stat -c %s "$binary"); runs as 65532 in a root with nothing but a CA file"

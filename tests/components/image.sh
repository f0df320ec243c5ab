#!/usr/bin/env bash
# Makes the container image, and tries it on real brokers: as its user, in its root, as tests/broker/image.rs says.
# usage: image.sh [BINARY]      BINARY is a static binary that was built already
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"
[ "$(id -u)" = 0 ] || fail "the image is mounted and entered, which needs root: sudo make test-image"
tests/components/packages.sh test
tests/components/kafka.sh >/dev/null
packaging/image.sh "$@"

export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# From the archive: what others get.
container=$(buildah from --quiet "oci-archive:target/image/trailtag-$version.oci.tar:$version")
trap 'buildah rm "$container" >/dev/null' EXIT
TRAILTAG_IMAGE_ROOT=$(buildah mount "$container")
TRAILTAG_IMAGE_CONFIG=$(buildah inspect "$container" | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["OCIv1"]["config"]))')
TRAILTAG_IMAGE_SBOM=$repository/target/image/trailtag-$version.cdx.json
export TRAILTAG_IMAGE_ROOT TRAILTAG_IMAGE_CONFIG TRAILTAG_IMAGE_SBOM
cargo test --test broker -- --ignored image::

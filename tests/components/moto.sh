#!/usr/bin/env bash
# Installs moto from PyPI: a server that answers as AWS's API does, on which the remediation steps are run; with it the AWS
# CLI and boto3, which run them. 280 MB, in $TRAILTAG_COMPONENTS/moto-VERSION. Prints that folder. Does nothing when it is
# there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# tests/remediation/account.rs looks for the same version. moto.txt pins everything, by hash; it is made anew with
#   printf 'moto==VERSION\nawscli==VERSION\nflask\nflask-cors\nPyYAML\n' |
#       uv pip compile - --universal --python-version 3.10 --generate-hashes --no-annotate --no-header -o tests/components/moto.txt
version=5.2.5
home=$TRAILTAG_COMPONENTS/moto-$version
# Parts of it are compiled for one release of Python: after another has come, it is installed anew.
works() { PYTHONPATH=$home python3 -c 'import cryptography.fernet, awscli.clidriver, moto.server, yaml' 2>/dev/null; }
if [ -d "$home" ]; then
    if works; then
        echo "$home"
        exit 0
    fi
    say "$home is for another Python"
    rm -rf "$home"
fi

"$repository/tests/components/packages.sh" test
say "installing moto $version into $home"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is put together aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part"' EXIT

# A download that is not what was pinned fails here.
PIP_ROOT_USER_ACTION=ignore retry python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --requirement "$repository/tests/components/moto.txt" --target "$part" >&2 ||
    fail "pip could not fetch moto $version"

chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
works || fail "$home does not work: remove it, and run this again"
echo "$home"

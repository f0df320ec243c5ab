#!/usr/bin/env bash
# Installs what the system must have, by apt, where it is missing.
# usage: packages.sh build|test|lint|bench|image|kubernetes      all include build; lint and kubernetes include test, and kubernetes image
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

missing=()
# need PACKAGE CHECK...: PACKAGE is missing when the command CHECK fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has() { command -v "$1"; }
# header FILE: the C compiler finds it.
header() { printf '#include <%s>\n' "$1" | cc -E -; }
java_17() { [ "$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p')" -ge 17 ]; }

# librdkafka is C, with C++ in its build.
need build-essential eval 'has cc && has c++ && has make'
need pkg-config has pkg-config
need zlib1g-dev header zlib.h
need libssl-dev header openssl/ssl.h
case ${1:-build} in
build) ;;
image | kubernetes)
    need musl-tools has musl-gcc
    need buildah has buildah
    need python3 has python3
    ;;&
test | lint | kubernetes)
    need openjdk-17-jre-headless java_17
    need maven has mvn
    need curl has curl
    need unzip has unzip
    need python3 has python3
    need python3-pip python3 -m pip --version
    need nodejs has node
    need npm has npm
    need golang-go has go
    # Under systemd the package also starts a server on port 9090; the tests start their own.
    need prometheus eval 'has promtool && has prometheus'
    ;;&
lint) need shellcheck has shellcheck ;;
bench) need valgrind has valgrind ;;
kubernetes)
    need runc has runc
    need containernetworking-plugins test -x /usr/lib/cni/bridge
    need iproute2 has ip
    need openssl has openssl
    need wget has wget
    ;;
image | test) ;;
*) fail "usage: packages.sh build|test|lint|bench|image|kubernetes" ;;
esac

[ ${#missing[@]} -gt 0 ] || exit 0

has apt-get >/dev/null ||
    fail "these are missing, and there is no apt-get to install them with; install what your system calls: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    has sudo >/dev/null || fail "run as root: apt-get update && apt-get install -y ${missing[*]}"
    as_root=(sudo)
fi
say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
retry "${as_root[@]}" apt-get update -qq || fail "apt-get update failed"

# A newer system has left Java 17 behind.
for i in "${!missing[@]}"; do
    if [ "${missing[$i]}" = openjdk-17-jre-headless ] && ! apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        missing[i]=default-jre-headless
    fi
done
retry "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    fail "apt-get install ${missing[*]} failed"

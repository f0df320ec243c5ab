# What the scripts of this folder share; to be sourced. It sets the folder that components are installed into.
# shellcheck shell=bash

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# TRAILTAG_COMPONENTS names a folder to share between clones; its default is the clone's own.
export TRAILTAG_COMPONENTS=${TRAILTAG_COMPONENTS:-$repository/.components}

say() {
    if [ -t 2 ]; then printf '\033[1m==> %s\033[0m\n' "$*" >&2; else printf '==> %s\n' "$*" >&2; fi
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# retry COMMAND...: what needs the network gets three tries.
retry() {
    local try
    for try in 1 2 3; do
        "$@" && return
        [ "$try" = 3 ] || say "failed, trying again: $*"
    done
    return 1
}

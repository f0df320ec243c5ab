#!/usr/bin/env bash
# Holds the crates of Cargo.lock against RustSec's database of advisories and, by crates.io's index, against yanked ones.
# usage: advisories.sh [--required]
# Where the database cannot be had it says so in a line of its own and goes on with yanked crates; with --required that fails.
# TRAILTAG_ADVISORY_DB names a copy: the folder of a git clone, bare or not, with the branch main; or the address of one.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

case ${1:-} in
'') required= ;;
--required) required=1 ;;
*) fail "usage: advisories.sh [--required]" ;;
esac

# As deny.toml has it. cargo-deny has git fetch it, and git is told where it really is.
url=https://github.com/RustSec/advisory-db
from=${TRAILTAG_ADVISORY_DB:-$url}
[ ! -d "$from" ] || from=file://$(realpath "$from")

deny=$("$repository/tests/components/cargo-deny.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# with DATABASE COMMAND...: DATABASE stands in for RustSec's.
with() { GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=url.$1.insteadOf GIT_CONFIG_VALUE_0=$url GIT_TERMINAL_PROMPT=0 "${@:2}"; }

# check DATABASE ARGUMENTS...: whether cargo-deny finds nothing; what it says is shown, and kept.
check() {
    local status=0
    with "$1" "$deny" "${@:2}" check advisories >"$work/said" 2>&1 || status=$?
    cat "$work/said" >&2
    # It warns of this only, and a warning is easily overlooked.
    if grep -q 'index-failure\|index-cache-load-failure' "$work/said"; then
        say "yanked crates: NOT CHECKED, at least some: crates.io's index does not tell (see above)"
        [ -z "$required" ] || return 1
    fi
    return "$status"
}

if with "$from" timeout 60 git ls-remote --exit-code "$url" refs/heads/main >/dev/null 2>"$work/reason"; then
    check "$from" || fail "cargo-deny fails, see above. An advisory or a yanked crate: update the crate, or add the advisory to deny.toml's [advisories] with the reason why it does not concern us"
    say "advisories: none against the crates of Cargo.lock, and none of these is yanked"
    exit 0
fi
say "advisories: NOT CHECKED: $from cannot be had ($(tail -n 1 "$work/reason")); TRAILTAG_ADVISORY_DB names a copy, see docs/security.md"
[ -z "$required" ] || fail "the advisories are required"

# What is yanked the index tells, which may be there all the same. cargo-deny looks at both together, and at no database without
# an entry: so it gets one with an entry about no crate.
git init --quiet --initial-branch main "$work/none"
mkdir -p "$work/none/crates/no-such-crate"
cat >"$work/none/crates/no-such-crate/RUSTSEC-2000-0001.md" <<'ENTRY'
```toml
[advisory]
id = "RUSTSEC-2000-0001"
package = "no-such-crate"
date = "2000-01-01"

[versions]
patched = []
```

# About no crate

It is there so that the database is not empty.
ENTRY
git -C "$work/none" add .
git -C "$work/none" -c user.name=trailtag -c user.email=trailtag@localhost -c commit.gpgsign=false commit --quiet --message "About no crate"
# A folder of its own: the real database must not be taken for this one later.
sed "s|^\[advisories\]|&\ndb-path = \"$work/db\"|" deny.toml >"$work/deny.toml"
grep -q '^db-path' "$work/deny.toml" || fail "deny.toml has no [advisories]"
check "file://$work/none" --config "$work/deny.toml" || fail "cargo-deny fails, see above. A yanked crate: update it"
say "yanked crates: none in Cargo.lock"

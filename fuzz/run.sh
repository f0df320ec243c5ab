#!/usr/bin/env bash
# Fuzzes for MINUTES each the targets that are named, or all: fuzz/run.sh 10 process yaml. What it finds lies in
# fuzz/artifacts, and what it has learned in fuzz/corpus; the next run begins with that and with fuzz/seeds.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tests/components/common.sh"
cd "$repository"

minutes=${1:?how many minutes}
shift
[ $# -gt 0 ] || set -- open process rules config yaml reload
# An input takes at most this long, and the process this much memory: what one input may take is in the targets themselves.
seconds=10
megabytes=512

tools=$(tests/components/cargo-fuzz.sh)
nightly=${tools%% *}
export PATH=${tools#* }:$PATH

# Loaders read files, which need not be written to a disk.
memory=/dev/shm
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$memory/trailtag-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    words=()
    [ ! -f "fuzz/words/$target.txt" ] || words=("-dict=fuzz/words/$target.txt")
    seeds=("fuzz/seeds/$target")
    # A message of the one is one of the other.
    [ "$target" != process ] || seeds+=(fuzz/seeds/open)
    say "fuzzing $target, $minutes minutes"
    # No sanitizer: panics, laws, memory and time are what is looked for, and without one it is several times as fast.
    nice cargo "+$nightly" fuzz run --sanitizer none --release "$target" "fuzz/corpus/$target" "${seeds[@]}" -- \
        -max_total_time=$((minutes * 60)) -timeout=$seconds -rss_limit_mb=$megabytes -max_len=16384 \
        -print_final_stats=1 "${words[@]}" ||
        fail "$target broke a law. The input is in fuzz/artifacts/$target; put it, made small, into fuzz/seeds/$target:
    cargo +$nightly fuzz tmin --sanitizer none --release $target INPUT"
done

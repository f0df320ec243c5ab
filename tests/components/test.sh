#!/usr/bin/env bash
# Runs every test, and says at the end what passed and what did not.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
core=passed
tests/components/core.sh || { status=1 core=FAILED; }
observability=passed
tests/observability/check.sh || { status=1 observability=FAILED; }

awk -v observability="$observability" -v core="$core" '
    /^test result:/ { binaries++; passed += $4; failed += $6; ignored += $8 }
    /^test .* \.\.\. FAILED$/ { names[++n] = $2 }
    END {
        printf "\n%d passed, %d failed, %d ignored, in %d test programs\n", passed, failed, ignored, binaries
        printf "alerts on made-up series: %s\n", observability
        printf "the library alone: %s\n", core
        for (i = 1; i <= n; i++) printf "  failed: %s\n", names[i]
    }' "$log"
exit "$status"

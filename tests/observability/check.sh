#!/usr/bin/env bash
# Holds alerts, recording rules and the dashboard against Prometheus itself and against the running program:
#   the rules parse, and fire and are silent as alerts_test.yaml says; the metrics are as Prometheus wants them; a real
#   Prometheus scrapes `trailtag demo`, and every rule and every query of the dashboard is evaluated on what it has.
# usage: check.sh      TRAILTAG=PATH names a program that was built already
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../components/common.sh"
cd "$repository"
tests/components/packages.sh test

rules=(config/observability/prometheus/*.yaml)
promtool check rules "${rules[@]}"
promtool test rules tests/observability/alerts_test.yaml

if [ -z "${TRAILTAG:-}" ]; then
    cargo build --quiet
    TRAILTAG=${CARGO_TARGET_DIR:-target}/debug/trailtag
fi

work=$(mktemp -d)
pids=()
# shellcheck disable=SC2329 # the trap calls it
clean() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean EXIT

# Two ports that are free now. Should another take one meanwhile, what follows fails and says so.
read -r program_port prometheus_port < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))')

"$TRAILTAG" demo --records 0 --listen "127.0.0.1:$program_port" >"$work/demo.log" 2>&1 &
demo=$!
pids+=("$demo")

{
    echo 'global: {scrape_interval: 1s, evaluation_interval: 1s}'
    echo 'rule_files:'
    printf -- "- '%s'\n" "${rules[@]/#/$repository/}"
    echo "scrape_configs: [{job_name: trailtag, static_configs: [{targets: ['127.0.0.1:$program_port']}]}]"
} >"$work/prometheus.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --web.listen-address="127.0.0.1:$prometheus_port" >"$work/prometheus.log" 2>&1 &
pids+=("$!")

python3 tests/observability/evaluate.py "127.0.0.1:$program_port" "127.0.0.1:$prometheus_port" "$demo" || {
    tail -n 5 "$work/demo.log" "$work/prometheus.log" >&2
    fail "alerts, dashboard and program do not fit together"
}

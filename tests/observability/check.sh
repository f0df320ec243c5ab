#!/usr/bin/env bash
# Holds alerts and recording rules against Prometheus' own tool: they parse, and each alert fires and is silent as
# alerts_test.yaml says; and the dashboard against Grafana's own library. tests/broker/alerts.rs has the rest: rules and dashboard on a Prometheus that scrapes the program.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../components/common.sh"
cd "$repository"
tests/components/packages.sh test

promtool check rules config/observability/prometheus/*.yaml
promtool test rules tests/observability/alerts_test.yaml
"$(tests/components/dashcheck.sh)" config/observability/grafana/trailtag.json

# Everything a developer types. Each target first installs what it needs and does not find.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

install := tests/components
chart_files := helm/trailtag/files
# Test programs that need no broker.
quick := $(patsubst tests/%.rs,--test %,$(wildcard tests/*.rs))

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build-tools ## Build, and watch trailtag work on synthetic CloudTrail; needs no Kafka
	cargo run --quiet -- demo

.PHONY: test
test: build-tools ## Every test, on a real Kafka, Elasticsearch and OpenSearch that the tests start
	$(install)/packages.sh test
	$(install)/kafka.sh
	$(install)/toxiproxy.sh
	$(install)/java.sh
	$(install)/elasticsearch.sh
	$(install)/opensearch.sh
	$(install)/botocore.sh
	$(install)/moto.sh
	$(install)/queries.sh
	$(install)/victorialogs.sh
	$(install)/chart.sh
	$(install)/test.sh

.PHONY: test-quick
test-quick: build-tools ## The tests that need no broker
	$(install)/botocore.sh
	$(install)/moto.sh
	$(install)/queries.sh
	$(install)/victorialogs.sh
	cargo test --lib --bins $(quick)
	cargo test --doc

.PHONY: faults
faults: build-tools ## The fault campaign, an hour, for docs/reliability.md; ROWS=pattern runs some of it
	$(install)/packages.sh test
	$(install)/kafka.sh
	$(install)/toxiproxy.sh
	TRAILTAG_FAULTS_ROWS='$(ROWS)' cargo test --test faults -- --ignored --nocapture the_whole_campaign

.PHONY: test-observability
test-observability: build-tools ## Alerts, dashboard and metrics, on a Prometheus that scrapes the program
	tests/observability/check.sh
	$(install)/kafka.sh
	cargo test --test observability
	cargo test --test broker alerts::

.PHONY: chart-files
chart-files: ## Copy alerts, recording rules and dashboard to where the chart reads them
	mkdir -p $(chart_files)
	cp config/observability/prometheus/alerts.yaml config/observability/prometheus/recording.yaml \
		config/observability/grafana/trailtag.json $(chart_files)

.PHONY: image
image: ## The container image, without Docker; needs root
	packaging/image.sh

.PHONY: test-image
test-image: build-tools ## The container image, on real brokers; needs root
	$(install)/image.sh

.PHONY: test-chart
test-chart: build-tools ## The Helm chart: lint, schemas of Kubernetes, unit tests
	$(install)/chart.sh

.PHONY: test-e2e
test-e2e: build-tools ## The chart and docs/kubernetes.md on a real Kubernetes and Kafka; needs root
	tests/kubernetes/check.sh

.PHONY: lint
lint: build-tools ## Format, clippy, documentation, licences, advisories, scripts, Dockerfile
	$(install)/packages.sh lint
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items
	"$$($(install)/cargo-deny.sh)" check licenses bans sources
	$(install)/advisories.sh
	shellcheck -x -P SCRIPTDIR .ci/run $(wildcard $(install)/*.sh) $(wildcard tests/kubernetes/*.sh) tests/observability/check.sh config/siem/elastic/apply.sh $(wildcard packaging/*.sh) fuzz/run.sh
	"$$($(install)/hadolint.sh)" Dockerfile

.PHONY: advisories
advisories: build-tools ## Crates against RustSec's database, which has to be there; for a schedule
	$(install)/advisories.sh --required

.PHONY: bench
bench: build-tools ## What a record costs
	cargo bench

.PHONY: bench-check
bench-check: build-tools ## How many instructions messages cost, against benches/instructions.csv, within 3 %
	$(install)/packages.sh bench
	cargo bench --no-default-features --features zstd --bench instructions

.PHONY: bench-bless
bench-bless: build-tools ## Write benches/instructions.csv anew; CHANGELOG.md says when it goes up
	$(install)/packages.sh bench
	TRAILTAG_BLESS=1 cargo bench --no-default-features --features zstd --bench instructions

.PHONY: fuzz
fuzz: build-tools ## Fuzz every target, MINUTES=10 each; TARGETS='process yaml' fuzzes some of them. Needs nightly
	fuzz/run.sh $(or $(MINUTES),10) $(TARGETS)

.PHONY: fmt
fmt: build-tools ## Format the code
	cargo fmt

.PHONY: clean-components
clean-components: ## Remove what tests/components installed into this clone
	rm -rf .components

.PHONY: build-tools
build-tools:
	@$(install)/packages.sh build
	@$(install)/rust.sh

# Everything a developer types. Each target first installs what it needs and does not find.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

install := tests/components
# Test programs that need no broker.
quick := $(patsubst tests/%.rs,--test %,$(wildcard tests/*.rs))

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build-tools ## Build, and watch trailtag work on synthetic CloudTrail; needs no Kafka
	cargo run --quiet -- demo

.PHONY: test
test: build-tools ## Every test, on a real Kafka broker that the tests start
	$(install)/packages.sh test
	$(install)/kafka.sh
	$(install)/botocore.sh
	$(install)/chart.sh
	$(install)/test.sh

.PHONY: test-quick
test-quick: build-tools ## The tests that need no broker
	$(install)/botocore.sh
	cargo test --lib --bins $(quick)
	cargo test --doc

.PHONY: test-chart
test-chart: build-tools ## The Helm chart: lint, schemas of Kubernetes, unit tests
	$(install)/chart.sh

.PHONY: lint
lint: build-tools ## Format, clippy, documentation, licences, scripts
	$(install)/packages.sh lint
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items
	"$$($(install)/cargo-deny.sh)" check licenses bans sources
	shellcheck -x -P SCRIPTDIR .ci/run $(wildcard $(install)/*.sh)

.PHONY: bench
bench: build-tools ## What a record costs
	cargo bench

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

# make setup   install what tests, benchmark and demo need (nats-server, PostgreSQL)
# make lint    formatting and clippy, as CI wants them
# make test    every test, against real servers
# make demo    a whole system on this machine, its load and its final account
# make bench   the node against the yardstick, on durable servers

CARGO ?= cargo

.PHONY: setup lint test demo bench

setup:
	scripts/setup

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

test: setup
	$(CARGO) test --workspace --locked --no-fail-fast

# The feature `failpoints` comes with the tests only: these build the programs alone.
demo: setup
	$(CARGO) build --release --locked -p ingest-node
	$(CARGO) run --release --locked -p ingest-kit --bin demo -- $(CURDIR)/target/release/ingest-node

bench: setup
	$(CARGO) build --release --locked -p ingest-node -p yardstick
	$(CARGO) run --release --locked -p ingest-kit --bin drain -- $(CURDIR)/target/release/ingest-node $(CURDIR)/target/release/yardstick

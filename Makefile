# make setup   install what tests, benchmark and demo need (nats-server, PostgreSQL)
# make lint    formatting and clippy, as CI wants them
# make test    every test, against real servers
# make demo    a whole system on this machine, its load and its final account
# make bench   the node against the yardstick, on durable servers
# make bench-influx  how the node keeps up with an InfluxDB that takes its time, and what the outbox costs; 9 minutes
# make bench-cases   the node alone where it is harder: cold cache, bad messages, routes; and its memory per device

CARGO ?= cargo

.PHONY: setup lint test demo bench bench-cases bench-influx

setup:
	scripts/setup

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings -D unreachable_pub

# Tests wait for servers more than they compute: four at once take half the time of two, on two cores as well.
test: export RUST_TEST_THREADS ?= 4
test: setup
	$(CARGO) test --workspace --locked --no-fail-fast

# All programs in one build, so that their dependencies are built once. Crashes on purpose come with the tests only.
.PHONY: release
release: setup
	$(CARGO) build --release --locked -p ingest-node -p ingest-kit -p yardstick --bins

demo: release
	target/release/demo target/release/ingest-node

bench: release
	target/release/drain target/release/ingest-node target/release/yardstick

bench-cases: export BENCH_CASES ?= cold,bad,routes,memory
bench-cases: bench

bench-influx: export BENCH_CASES ?= outbox,durable-one,durable-many,durable-behind,replay,hang
bench-influx: bench

# make check   everything that CI runs, in its order
#
# make setup   install what tests, benchmark and demo need (nats-server, PostgreSQL) and the checks' programs
# make lint    formatting and clippy
# make words   no retired word (docs/glossary.md);  make imports   imports go one way (docs/architecture.md)
# make compose  docker-compose.yml, where there is a Docker client with Compose
# make deny    licences, bans and sources of the dependencies
# make doc     the documentation of every item, without a broken link
# make k8s     the Helm chart and the kustomize base: schemas, lint, and what we ask of them (scripts/k8s)
# make monitoring  alerts and dashboard: promtool, and whether they name what there is
# make smoke   the program as it is released, without the tests' feature: its command line, and a short demonstration
# make test    every test, against real servers
# make test-current  tests of the servers once more, on current versions of nats-server and PostgreSQL
# make soak    the ways in with 100,000 messages each and processes killed among them, and NATS frozen for half a minute
# make openapi  the gateway's HTTP against its OpenAPI document, for about a minute
# make console  the console in a browser, for about half a minute
# make fuzz    every fuzz target for FUZZ_SECONDS (30); needs the nightly toolchain and cargo-fuzz
# make coverage  which lines the tests run; needs cargo-llvm-cov
#
# make demo    a whole system on this machine, its load and its final account
# make bench   the node against the yardstick, on durable servers
# make bench-influx  how the node keeps up with an InfluxDB that takes its time, and what the outbox costs; 9 minutes
# make bench-ways    how fast messages come in by each way in
# make bench-observe  what it costs to see: missing readings, derived state, everything at once, and the console's snapshots; 6 minutes
# make bench-cases   the node alone where it is harder: cold cache, bad messages, routes; and its memory per device

CARGO ?= cargo

# Where scripts/setup puts cargo-deny and its like.
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: check setup lint words imports compose deny doc smoke k8s monitoring test test-current soak openapi console fuzz coverage

# The cheap ones first: what fails, fails early. Some wait for servers or by the clock more than they compute, so they run side by side, each with
# its output in one piece. What needs a program that could not be installed is left out, and says so; with NOTHING_LEFT_OUT=1 it fails.
check: export WHAT_IS_MISSING := $(if $(NOTHING_LEFT_OUT),,--if-installed)
check:
	$(MAKE) words imports
	$(MAKE) --jobs=2 --output-sync=target setup lint
	$(MAKE) compose deny doc smoke
	$(CARGO) test --workspace --locked --no-run
	$(MAKE) k8s monitoring test
	$(MAKE) --jobs=2 --output-sync=target test-current openapi fuzz
	$(MAKE) console

setup:
	scripts/setup

words:
	scripts/check-words

imports:
	scripts/check-imports

compose:
	scripts/check-compose

# Twice: with the tests, and with the features of a release, where code that only tests reach is dead.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings -D unreachable_pub
	$(CARGO) clippy --workspace --lib --bins --locked -- -D warnings

deny:
	scripts/check-dependencies $(WHAT_IS_MISSING)

# Private items, too: the node's crate has hardly any others, and its readers are those who change it.
doc: export RUSTDOCFLAGS := -D warnings
doc:
	$(CARGO) doc --workspace --no-deps --document-private-items --locked

# The features of a release, in the profile of the tests: the same dependencies, so only the node is built once more. With the
# demonstration, a short one: a system whose account balances and in which `doctor` finds nothing to be fixed.
smoke: setup
	$(CARGO) build --workspace --bins --locked
	scripts/smoke "$${CARGO_TARGET_DIR:-target}/debug/ingest-node"
	DEMO_MESSAGES=5000 "$${CARGO_TARGET_DIR:-target}/debug/demo" "$${CARGO_TARGET_DIR:-target}/debug/ingest-node"

# It asks the program which settings there are.
k8s: setup
	scripts/check-k8s $(WHAT_IS_MISSING)

monitoring: setup
	scripts/check-monitoring $(WHAT_IS_MISSING)

# Tests wait for servers more than they compute: eight at once take a third of the time of two, on two cores as well.
test: export RUST_TEST_THREADS ?= 8
test: setup
	$(CARGO) test --workspace --locked --no-fail-fast

# They come as wheels, and not for every machine.
test-current: export RUST_TEST_THREADS ?= 4
test-current: setup
	scripts/test-current $(WHAT_IS_MISSING)

# Tests of `make test`, with more of everything.
soak: export KILL_MESSAGES ?= 100000
soak: export FREEZE_SECONDS ?= 30
soak: setup
	$(CARGO) test --workspace --locked --test it -- --test-threads=1 killed_twenty_times is_frozen

openapi: setup
	scripts/check-openapi $(WHAT_IS_MISSING)

console: setup
	scripts/check-console $(WHAT_IS_MISSING)

fuzz:
	scripts/fuzz $(WHAT_IS_MISSING)

coverage: export RUST_TEST_THREADS ?= 8
coverage: setup
	scripts/coverage

# All programs in one build, so that their dependencies are built once. Crashes on purpose come with the tests only.
.PHONY: release demo bench bench-observe bench-cases bench-influx bench-ways
release: setup
	$(CARGO) build --release --locked -p ingest-node -p ingest-kit -p yardstick --bins

demo: release
	target/release/demo target/release/ingest-node

bench: release
	target/release/drain target/release/ingest-node target/release/yardstick

bench-observe: export BENCH_CASES ?= readings,derived,everything,observe
bench-observe: bench

bench-cases: export BENCH_CASES ?= cold,bad,routes,memory
bench-cases: bench

bench-ways: release
	target/release/ways target/release/ingest-node

bench-influx: export BENCH_CASES ?= outbox,durable-one,durable-many,durable-behind,replay,hang
bench-influx: bench

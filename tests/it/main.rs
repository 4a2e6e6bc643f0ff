//! The node as its users see it: a child process between a real nats-server, a real PostgreSQL and a stand-in for
//! InfluxDB 3. One file per theme; every test has servers, or at least a database, of its own.
//!
//! - `cases`: the public cases of `tests/cases`, one test per kind.
//! - `load`, `crash`, `shutdown`, `outage`, `staleness`, `startup`: what must hold whatever happens.
//! - `door`: what is refused before anything is looked up, and what is kept of it.
//! - `postgres`, `registry`: those rooms on their own, with deliveries made by hand. `routes`, `state`: the rooms of the
//!   route jobs and of the derived state.
//! - `consumer`: the lanes' consumers between the broker's settings, answers and outages.
//! - `quarantine`: looking at refused messages, and replaying them. `tenants`: whatever they are called.
//! - `influx`: InfluxDB fails in every way it can; every point is compared with what its message asks for.
//! - `replicas`: two nodes at once. `flood`: one tenant's trouble is its own. `rubbish`, `stranger`: what no producer
//!   should send.
//! - `probes`: answered whoever else is connected.
//! - `crowd`: what made-up tenants may cost.
//! - `row_security`: what PostgreSQL keeps from the node's role, or locks. `provision`: databases before points.
//! - `backfill`: rows written to InfluxDB again.
//! - `signals`: told to stop at any moment. `unheard`: nobody reads what the program says.
//!   `watchdog`: a thread stands still.
//! - `simulate`: the simulator, and the node against its word.
//! - `world`, `workload`, `traffic`, `ledger`: servers, messages with the account that must come out, a steady stream of
//!   them, the node's own account.

// What a test prints is shown where it fails.
#![allow(clippy::print_stdout)]
#![allow(clippy::expect_used, reason = "a test that panics has said what it had to say")]

mod backfill;
mod cases;
mod consumer;
mod crash;
mod crowd;
mod door;
mod flood;
mod influx;
mod ledger;
mod load;
mod outage;
mod postgres;
mod probes;
mod provision;
mod quarantine;
mod registry;
mod replicas;
mod routes;
mod row_security;
mod rubbish;
mod shutdown;
mod signals;
mod simulate;
mod staleness;
mod startup;
mod state;
mod stranger;
mod tenants;
mod traffic;
mod unheard;
mod watchdog;
mod workload;
mod world;

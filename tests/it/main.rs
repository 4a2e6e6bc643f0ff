//! The node as its users see it: a child process between a real nats-server, a real PostgreSQL and a stand-in for
//! InfluxDB 3. One file per theme; every test has servers, or at least a database, of its own.
//!
//! - `cases`: the public cases of `tests/cases`, one test per kind.
//! - `load`, `crash`, `shutdown`, `outage`, `staleness`, `startup`: what holds under load, faults and outages.
//! - `outages`: a table of outages, and how each of them shows.
//! - `door`: what is refused before anything is looked up, and what is kept of it.
//! - `explain`: what became of one message.
//! - `tap`: messages as they are decided. `top`: the actors of running nodes, as lines.
//! - `doctor`: what is careless or can't work, named before it hurts.
//! - `postgres`, `registry`, `routes`, `state`: those components on their own, with deliveries made by the test.
//! - `consumer`: the lanes' consumers between the broker's settings, answers and outages.
//! - `quarantine`: listing rejected messages, and reprocessing them. `tenants`: tenants with unusual names.
//! - `influx`: InfluxDB fails in every way it can; every point is compared with what its message asks for.
//! - `retention`: what is old is dropped, and nothing else.
//! - `replicas`: two nodes at once. `flood`: one tenant's trouble is its own. `malformed`,
//!   `unknown_senders`: what no producer should send.
//! - `missing_readings`: gaps in what devices send, and their silence.
//! - `mqtt_lane`: what MQTT clients of nats-server publish.
//! - `bridge`: the gateway between a real Mosquitto and JetStream.
//! - `figures`: what `/metrics` and `/stats` count. `lag`: what autoscalers are told. `probes`: answered however many
//!   connections are open.
//! - `unknown_tenants`: what messages of unregistered tenants cost.
//! - `rights`: the users and roles of the documentation are enough.
//! - `row_security`: what PostgreSQL keeps from the node's role, or locks. `provision`: databases before points.
//! - `observe`: every actor as `/actors` shows it, the console, who may watch it.
//! - `provisioning`: the admin listener, its key, and devices that are registered over HTTP.
//! - `gateway`: ways in over HTTP, with a node behind them.
//! - `backfill`: rows written to InfluxDB again.
//! - `signals`: shutdown signals at any moment. `closed_output`: standard output or error is closed or unread.
//!   `watchdog`: a thread stalls.
//! - `secured`: servers that demand log-ins and TLS, and secrets that are rotated.
//! - `settings`: what is said about careless ones.
//! - `simulate`: the simulator, and the node against its expectations.
//! - `rollout`: a new version comes and is taken back, in Kubernetes' order. `runbook`: its commands do what it says.
//! - `soak`: how much the longest of them do.
//! - `world`, `workload`, `traffic`, `ledger`: servers, messages with their expected results, a steady stream of
//!   them, the node's delivery ledger. `document`: what the documentation tells operators to copy.

// What a test prints is shown where it fails.
#![allow(clippy::print_stdout)]
#![allow(clippy::expect_used, reason = "a panic is a test's failure message")]

mod backfill;
mod bridge;
mod cases;
mod closed_output;
mod consumer;
mod crash;
mod doctor;
mod document;
mod door;
mod explain;
mod figures;
mod flood;
mod gateway;
mod influx;
mod lag;
mod ledger;
mod load;
mod malformed;
mod missing_readings;
mod mqtt_lane;
mod observe;
mod outage;
mod outages;
mod postgres;
mod probes;
mod provision;
mod provisioning;
mod quarantine;
mod raw_protocol;
mod registry;
mod replicas;
mod retention;
mod rights;
mod rollout;
mod routes;
mod row_security;
mod runbook;
mod secured;
mod settings;
mod shutdown;
mod signals;
mod simulate;
mod soak;
mod staleness;
mod startup;
mod state;
mod tap;
mod tenants;
mod top;
mod traffic;
mod unknown_senders;
mod unknown_tenants;
mod watchdog;
mod workload;
mod world;

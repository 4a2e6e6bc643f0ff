//! InfluxDB fails in every way it can, and in the end every point is there: exactly those that the messages ask for.
//!
//! - `expected`: which points messages ask for, by the contract and not by the node. `readings`: messages with metrics of
//!   every kind. `scene`: how such a test ends.
//! - `kill`: the node dies on the spot, wherever that hurts. `outage`, `replicas`: InfluxDB is away, and nodes die meanwhile.
//! - `files`: points in files, and nodes that die.
//! - `columns`: tables full of columns, and tenants that make too many. `trouble`: what is said, and when. `version2`: the
//!   v2 API of InfluxDB 3.
//! - `full`, `refusals`, `pace`, `types`, `slow`, `token`: what InfluxDB can have against a request, a line, a value.
//! - `backlog`: how much memory a long outage costs when it is over.
//! - `replay`: what InfluxDB is owed, after an outage and after the exit of a node. `rebuilt`: a line that is rebuilt from
//!   its row is the same point. `huge`: rows that are a thousand times as large as their messages.
//! - `targets`: what else speaks line protocol. `transport`: TLS, compression, and where tenants share a database.

mod backlog;
mod columns;
mod expected;
mod files;
mod full;
mod huge;
mod kill;
mod outage;
mod pace;
mod readings;
mod rebuilt;
mod refusals;
mod replay;
mod replicas;
mod scene;
mod slow;
mod targets;
mod token;
mod transport;
mod trouble;
mod types;
mod version2;

//! Outages, one row each: which figures move, and what `/ready`, `/stats`, `/lag` and the log say within ten seconds. No
//! figure may claim that nothing waits while something does.
//!
//! - `outage`: what a row says, and the steps of every outage.
//! - `recording`: figures of outages, for the tests of the alerts.
//! - `postgres`, `nats`, `influx`, `senders`: the rows. `small_disk`: a disk that can be filled.

mod influx;
mod nats;
mod outage;
mod postgres;
mod recording;
mod senders;
mod small_disk;

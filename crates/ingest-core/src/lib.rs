//! The rules of `ingest-node`: pure functions and state machines that every component calls.
//!
//! No I/O, no clock, no randomness, no actors, no logging; the crate has no dependency that could. `now` is a
//! parameter, times are microseconds since the Unix epoch (`_us`), and the reason why a message is not accepted is a value
//! ([`message::rejection::Rejection`]), never an error.
//!
//! Folders import each other one way: `message`, `flow` and `retention` import no other; `http`, `influx`, `routes`, `reprocess`, `provision` and `tap`
//! import `message`; `validate` imports all of these, `state` imports the results of `validate`, and `explain` imports `validate`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod cases;
pub mod explain;
pub mod flow;
pub mod http;
pub mod influx;
pub mod message;
pub mod provision;
pub mod reprocess;
pub mod retention;
pub mod routes;
pub mod state;
pub mod tap;
pub mod validate;

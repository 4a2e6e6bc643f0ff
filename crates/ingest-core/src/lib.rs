//! The rules of `ingest-node`: pure functions and state machines that every component calls.
//!
//! No I/O, no clock, no randomness, no actors, no logging; the crate has no dependency that could. `now` is a
//! parameter, times are microseconds since the Unix epoch (`_us`), and the reason why a message is not accepted is a value
//! ([`message::rejection::Rejection`]), never an error.
//!
//! Folders import each other one way: `message`, `flow` and `retention` import no other; `http`, `influx`, `routes`, `reprocess` and `provision`
//! import `message`; `validate` imports all of these, and `state` imports the results of `validate`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod cases;
pub mod flow;
pub mod http;
pub mod influx;
pub mod message;
pub mod provision;
pub mod reprocess;
pub mod retention;
pub mod routes;
pub mod state;
pub mod validate;

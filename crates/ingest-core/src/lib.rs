//! The rules of `ingest-node`: pure functions and state machines that every component calls.
//!
//! No I/O, no clock, no randomness, no actors, no logging; the crate has no dependency that could. `now` is a
//! parameter, times are microseconds since the Unix epoch (`_us`), and what is not accepted is a value
//! ([`message::rejection::Rejection`]), never an error.
//!
//! The folders import each other one way: `message` and `flow` know none of the others, `influx`, `routes` and
//! `reprocess` know `message`, `validate` knows these, and `state` knows what `validate` makes.
#![forbid(unsafe_code)]

#[cfg(test)]
mod cases;
pub mod flow;
pub mod influx;
pub mod message;
pub mod reprocess;
pub mod routes;
pub mod state;
pub mod validate;

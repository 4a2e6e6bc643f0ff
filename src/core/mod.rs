//! The rules: pure functions and state machines that every room calls.
//!
//! No I/O, no clock, no randomness, no actors, no logging. `now` is a parameter, times are microseconds since the
//! Unix epoch (`_us`), and what is refused is a value ([`rejection::Rejection`]), never an error.

pub mod ack_subject;
pub mod backoff;
pub mod batch;
pub mod capacity;
pub mod columns;
pub mod device;
pub mod digest;
pub mod disposition;
pub mod envelope;
pub mod event;
pub mod field_budget;
pub mod field_types;
pub mod fitting;
pub mod gaps;
pub mod identity;
pub mod in_flight;
pub mod kept;
pub mod lane_watch;
pub mod line_fields;
pub mod line_protocol;
pub mod metric;
pub mod metric_keys;
pub mod names;
pub mod observation;
pub mod observed_time;
pub mod payload;
pub mod payload_filter;
pub mod period;
pub mod permission;
pub mod point;
pub mod pull;
pub mod pull_refusals;
pub mod pull_status;
pub mod rate_limit;
pub mod rebuild;
pub mod redact;
pub mod refusal;
pub mod rejection;
pub mod replay;
pub mod restart;
pub mod route;
pub mod sensor;
pub mod settings;
pub mod shard;
pub mod storable;
pub mod timestamp;
pub mod topic;
pub mod topic_filter;
pub mod validate;

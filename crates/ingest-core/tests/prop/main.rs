//! Properties of the rules, over inputs that nobody thought of: one module per rule.
#![allow(clippy::unwrap_used, reason = "a test that panics has said what it had to say")]

mod backoff;
mod batch;
mod disposition;
mod fitting;
mod gaps;
mod line_protocol;
mod metric_keys;
mod names;
mod observed_time;
mod payload_filter;
mod rate_limit;
mod redact;
mod replay;
mod sensor;
mod timestamp;
mod topic;
mod topic_filter;
mod validation;

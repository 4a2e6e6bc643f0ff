//! Property tests of the rules: one module per rule.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that panics has said what it had to say")]

mod backoff;
mod batch;
mod coercion;
mod disposition;
mod failure_limit;
mod forwarded;
mod gaps;
#[path = "../fuzz/line_names.rs"]
mod line_names;
mod line_protocol;
mod metric_keys;
mod mqtt;
mod mqtt_subject;
mod names;
mod observed_time;
mod payload_filter;
mod proof;
mod provision;
mod rate_limit;
mod redact;
mod retention;
mod sensor;
mod timestamp;
mod top_counts;
mod topic;
mod topic_filter;
mod validation;

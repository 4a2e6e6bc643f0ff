//! Retention: how long rows are kept, and which partitions of `raw_events` may go.

pub mod forecast;
pub mod partition;
pub mod plan;

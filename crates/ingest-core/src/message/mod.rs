//! What one message is: its envelope, topic, payload, metrics and time, and why it may be refused.

pub mod device;
pub mod digest;
pub mod envelope;
pub mod kept;
pub mod metric;
pub mod metric_keys;
pub mod msg_type;
pub mod names;
pub mod observed_time;
pub mod payload;
pub mod redact;
pub mod rejection;
pub mod storable;
pub mod timestamp;
pub mod topic;

//! Messages: envelope, topic, payload, metrics and time, why one is rejected, and what the quarantine retains of it.

pub(crate) mod compact;
pub mod device;
pub mod digest;
pub mod envelope;
pub mod intake;
pub mod metric;
pub mod metric_keys;
pub mod mqtt;
pub mod mqtt_subject;
pub mod msg_type;
pub mod names;
pub mod observed_time;
pub mod payload;
pub mod quarantine_content;
pub mod redact;
pub mod rejection;
pub mod storable;
pub mod timestamp;
pub mod topic;
pub mod visible;

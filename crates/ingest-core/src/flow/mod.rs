//! How deliveries flow: credit, pull requests, backoff, order, limits and what becomes of them.

pub mod ack_subject;
pub mod backoff;
pub mod batch;
pub mod capacity;
pub mod disposition;
pub mod gaps;
pub mod identity;
pub mod in_flight;
pub mod lane_watch;
pub mod permission;
pub mod pull;
pub mod pull_refusals;
pub mod pull_status;
pub mod rate_limit;
pub mod restart;
pub mod shard;

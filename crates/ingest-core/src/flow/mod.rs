//! Flow control: credit, pull requests, backoff, limits of rates and failures, restarts, and the outcome of a delivery.

pub mod ack_subject;
pub mod backoff;
pub mod batch;
pub mod capacity;
pub mod disposition;
pub mod failure_limit;
pub mod gaps;
pub mod identity;
pub mod in_flight;
pub mod lag;
pub mod lane_watch;
pub mod oldest;
pub mod permission;
pub mod pull;
pub mod pull_backoff;
pub mod pull_status;
pub mod rate_limit;
pub mod restart;
pub mod shard;
pub mod space;
pub mod top_counts;

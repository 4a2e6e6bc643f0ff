//! Deliveries come in here: one pull consumer per lane, with credit at the door, and settlement goes out here.

mod ack;
mod advisory;
mod config;
pub mod connect;
mod consumer;
mod fitness;
mod inlet;
mod lag;
pub mod permissions;
pub mod provision;
mod resend;

pub use self::config::Config;
pub use self::consumer::{Consumer, Parts};

//! Deliveries come in here: one pull consumer per lane, with credit at the door, and settlement goes out here.

mod ack;
mod advisory;
mod consumer;
mod inbox;
mod lag;
mod resend;

pub(crate) use self::consumer::{Consumer, Parts};
pub(crate) use crate::nats::config::Config;

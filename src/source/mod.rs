//! Deliveries come in here: one pull consumer per lane, with credit at the door, and settlement goes out here.

mod ack;
mod advisory;
mod consumer;
mod events;
mod inbox;
mod lag;
mod resend;

pub(crate) use crate::nats::config::Config;
pub(crate) use crate::source::consumer::{Consumer, Parts};

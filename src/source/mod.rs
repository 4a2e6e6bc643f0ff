//! JetStream source: one pull consumer per lane with credit-based back-pressure, and the settlement of its deliveries.

mod ack;
mod advisory;
mod consumer;
mod inbox;
mod resend;

pub(crate) use self::consumer::{Consumer, Parts};

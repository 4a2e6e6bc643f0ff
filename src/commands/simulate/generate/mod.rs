//! The messages: pure, and the same for the same seed.

mod bad;
mod fleet;
mod generator;
mod message;
#[cfg(test)]
mod tests;

pub(crate) use self::bad::Bad;
pub(crate) use self::fleet::{Fleet, SimDevice, Tokens};
pub(crate) use self::generator::{Generator, Mix};
pub(crate) use self::message::Simulated;

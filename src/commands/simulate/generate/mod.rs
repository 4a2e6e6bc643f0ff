//! The messages: pure, and the same for the same seed.

mod generator;
#[cfg(test)]
mod tests;

pub(crate) use self::generator::{Fleet, Generator, Mix, SimDevice, Simulated};

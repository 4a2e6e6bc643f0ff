//! Pending observations, the input of the write-behind of derived state: per device the newest value of everything, and
//! which metric came first, whatever the order of arrival.
//!
//! A message costs a look-up and a comparison here, no parsing: most devices always send the same metrics, so of all
//! messages with the same names only the newest payload is retained, and parsed once when it is flushed.

mod device;
mod pending;
mod samples;
#[cfg(test)]
mod tests;

pub use self::device::{Location, Observation};
pub use self::pending::Observations;
pub use self::samples::Reading;

//! What the derived state has to know of each device: the newest of everything, and which metric was heard first, whatever
//! the order of arrival.
//!
//! A message costs a look-up and a comparison here, no parsing: most devices always send the same metrics, so of all
//! messages with the same names only the newest payload is kept, and read once when it is flushed.

mod device;
mod pending;
mod reading;
#[cfg(test)]
mod tests;

pub use self::device::{Location, Observation};
pub use self::pending::Observations;
pub use self::reading::Reading;

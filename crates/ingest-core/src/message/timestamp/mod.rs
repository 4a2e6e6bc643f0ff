//! Timestamps: the event time that a payload states, ISO 8601 text or an epoch number, to the microsecond.
//!
//! What can't be parsed is `None`; the message then gets the broker's time, never the node's clock.

mod calendar;
mod epoch;
mod shown;
#[cfg(test)]
mod tests;
mod text;

pub use self::epoch::from_number;
pub use self::shown::to_text;
pub use self::text::from_text;

//! Timestamps: the event time that a payload states, ISO 8601 text or an epoch number, to the microsecond.
//!
//! What this module does not understand is `None`; the message then takes the broker's time, never the node's clock.

mod calendar;
mod epoch;
#[cfg(test)]
mod tests;
mod text;

pub use self::epoch::from_number;
pub use self::text::from_text;

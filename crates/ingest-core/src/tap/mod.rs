//! Taps: which of the messages that pass by an operator looks at, and what of them is shown. Bounded in bytes, without provision
//! tokens, and harmless to a terminal.

mod filter;
mod sample;
mod seen;

pub use self::filter::Filter;
pub use self::sample::sample;
pub use self::seen::{Decision, Outcome, TappedMessage};

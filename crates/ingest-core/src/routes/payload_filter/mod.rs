//! Payload filters of message routes: conditions on a message's values.

mod condition;
mod filter;
mod scalar;
#[cfg(test)]
mod tests;

pub use self::filter::{BadFilter, PayloadFilter};

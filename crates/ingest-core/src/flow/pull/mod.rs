//! The pull requests that are open at the broker: how much of the credit they have taken, in messages and in bytes.

mod limits;
mod requests;
#[cfg(test)]
mod tests;

pub use self::limits::Limits;
pub use self::requests::{Pulls, Request};

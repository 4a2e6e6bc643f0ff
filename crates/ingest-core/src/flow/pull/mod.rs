//! Pull requests: those that are open at the broker, and the share of the credit that they have taken.

mod limits;
mod requests;
#[cfg(test)]
mod tests;

pub use self::limits::Limits;
pub use self::requests::{Pulls, Request};

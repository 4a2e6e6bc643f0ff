//! Derived state, written behind: sensors with their last values, last seen, positions. A crash loses at most what
//! was heard since the last flush, never a row; the next message of the device brings it up to date again.

mod config;
mod settled;
mod statement;
mod store;
mod writer;

pub use self::config::Config;
pub use super::state::writer::{DerivedStateWriter, Parts};

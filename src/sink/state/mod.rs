//! Derived state, written behind: sensors with their last values, last seen, missing readings, positions. A crash loses at most what
//! was heard since the last flush, never a row; the next message of the device brings it up to date again.

mod catch_up;
pub(crate) mod config;
mod heard;
mod known_sensors;
mod record;
pub(crate) mod silence;
mod statement;
mod store;
mod writer;
mod writers;

pub use self::config::Config;
pub use super::state::writer::{DerivedStateWriter, Parts};

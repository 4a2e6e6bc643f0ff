//! Devices that fall silent: marked in `device_state` by one replica at a time, with an alert when they do and one when they
//! come back.
//!
//! Nobody is silent of whom this replica can't say that it has seen everything: see [`sight`].

mod alerts;
mod look;
mod sight;
mod stream;
mod watcher;
mod worker;

pub(crate) use self::stream::{STREAM, differences};
pub(crate) use self::watcher::{Parts, SilenceWatcher};

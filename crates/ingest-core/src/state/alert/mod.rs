//! Alerts: what is published about devices that fall silent and come back, and how many of them.

mod message;
mod quota;
mod select;

pub use self::message::{Alert, Kind, Pending};
pub use self::quota::Quota;
pub use self::select::select;

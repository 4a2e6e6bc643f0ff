//! Line protocol: points as InfluxDB reads them.
//!
//! ```text
//! telemetry,device_id=dev-0001,site_id=lab-1 seq=120i,temp_c=24.3,rssi_dbm=-85i,uplink_ok=true 1795219200123000000
//! ```
//!
//! A line is written straight into the caller's buffer: [`begin`], any number of [`field`]s, [`end`]. It carries no
//! line feed; the code that joins lines puts one between them.

mod name;
mod skipped;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use self::name::{escaped, is_reserved};
pub use self::skipped::Skipped;
pub use self::value::FieldValue;
pub use self::writer::{Kind, Tags, begin, end, field};

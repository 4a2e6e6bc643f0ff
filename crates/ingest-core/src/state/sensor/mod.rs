//! What a metric says of its sensor: the columns that `device_sensors` gets for a sensor that nobody described.

mod infer;
mod last_value;
mod unit;
mod unit_tables;

pub use self::infer::{Inferred, SOURCE, infer};
pub use self::last_value::LastValue;

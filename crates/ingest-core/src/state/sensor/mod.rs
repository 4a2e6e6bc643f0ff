//! Sensor discovery: the columns of `device_sensors` for a sensor that was never described, inferred from its metric.

mod infer;
mod last_value;
mod unit;
mod unit_tables;

pub use self::infer::{Inferred, SOURCE, infer};
pub use self::last_value::LastValue;

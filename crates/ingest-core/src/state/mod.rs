//! Derived state: sensors and the latest observation of a device, written behind the rows (write-behind).

pub mod observation;
pub mod sensor;

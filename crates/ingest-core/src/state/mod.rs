//! What is derived from rows: sensors and the last observation of a device.

pub mod observation;
pub mod sensor;

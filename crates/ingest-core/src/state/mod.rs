//! Derived state: sensors, and observations that wait to be flushed; missing readings, silence and the alerts about it.

pub mod alert;
pub mod continuity;
pub mod observation;
pub mod sensor;

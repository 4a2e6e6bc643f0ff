//! Derived state: sensors, and observations that wait to be flushed; missing readings and silence.

pub mod continuity;
pub mod observation;
pub mod sensor;

//! Preflight checks: what the node needs of its settings, its machine and its servers, compared with what is there. `doctor`
//! and `check-config --online` print the findings, `run` logs those about capacity.

mod all;
pub(crate) mod capacity;
mod clock;
mod deadline;
mod finding;
mod influx;
mod machine;
mod nats;
mod postgres;
mod shared;

pub(crate) use self::all::check;
pub(crate) use self::finding::{Finding, exit};
pub(crate) use self::machine::SETTINGS;
pub(crate) use self::postgres::tenants;

//! Preflight checks: what the node needs of its settings, its machine and its servers, compared with what is there. `doctor`
//! and `check-config --online` print the results, `run` logs those about capacity.

mod all;
pub(crate) mod capacity;
mod clock;
mod deadline;
mod influx;
mod machine;
mod mqtt;
mod nats;
mod postgres;
mod result;
mod shared;

pub(crate) use self::all::check;
pub(crate) use self::machine::SETTINGS;
pub(crate) use self::postgres::tenants;
pub(crate) use self::result::{CheckResult, exit};

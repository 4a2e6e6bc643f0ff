//! What the node shows of itself: one snapshot every second, made from shared counters, so that an actor that is stuck is shown
//! and not waited for. `/actors` and the console read nothing else (ADR 41). And taps, which show single messages.

mod actors;
mod collector;
mod console;
mod flows;
mod history;
mod lanes;
mod missing_readings;
mod observer;
mod progress;
mod rates;
mod rejections;
mod routes;
mod sinks;
mod snapshot;
pub(crate) mod tap;
mod viewers;

pub(crate) use self::collector::Sources;
pub(crate) use self::console::log_in_page;
pub(crate) use self::observer::Observer;
pub(crate) use self::routes::{assets, shown};
pub(crate) use self::snapshot::{ActorState, LaneState, Snapshot};

//! One tenant's lines on their way: collects them into batches, writes the batches, and ends every line exactly once.

mod actor;
mod coerce;
mod health;
mod logged;
mod outcome;
mod question;
mod refusal;
mod trial;

pub(crate) use self::actor::BatcherExited;
pub(super) use self::actor::{Batcher, DrainBatcher, ExitGuard, Parts, StopIdle};

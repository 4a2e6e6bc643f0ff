//! One tenant's lines on their way: collects them into batches, writes the batches, and ends every line exactly once.

mod actor;
mod fit;
mod logged;
mod outcome;
mod question;
mod refusal;
mod trial;
mod trouble;

pub(crate) use self::actor::BatcherExited;
pub(super) use self::actor::{Batcher, ExitGuard, Finish, Parts, Retire};

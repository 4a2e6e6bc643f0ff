//! The Writer: collects what is to be made durable into batches and sees each of them through.

mod actor;
mod backlog;
mod faults;
mod outcome;
mod rejection_log;

use self::actor::Flush;
pub use self::actor::{Parts, Writer};

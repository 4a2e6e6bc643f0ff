//! A lane's consumer: pulls what its window has room for, hands it to the validators, and settles it.

mod actor;
mod admission;
mod binding;
mod certainty;
mod drain;
mod lane_condition;
mod pulling;
mod settlement;
mod timers;

pub(crate) use self::actor::{Consumer, Parts};
use self::actor::{Entry, Stage};

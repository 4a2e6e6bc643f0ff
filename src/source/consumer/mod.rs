//! The consumer actor of a lane: pulls as much as its window has credit for, forwards it to the validators, and settles it.
//!
//! `actor` has the state and the mailbox; each other file one activity, with the state that belongs to it alone.

mod actor;
mod admission;
mod binding;
mod connection;
mod drain;
mod inboxes;
mod lag_report;
mod lane_condition;
mod lane_lag;
mod pulling;
mod recognition;
mod request_limits;
mod settlement;
mod timers;

pub(crate) use self::actor::{Consumer, Parts};

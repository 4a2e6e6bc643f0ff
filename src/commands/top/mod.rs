//! `ingest-node top`: the actors and lanes of running nodes, side by side.
//!
//! - `options`: which nodes. `poll`: asks each of them.
//! - `rows`: what is shown of it, as text. `screen`: on a terminal, by `keys`. `plain`: as lines, anywhere else.

mod command;
mod keys;
mod options;
mod plain;
mod poll;
mod rows;
mod screen;
mod terminal;

pub(super) use self::command::run;
pub(crate) use self::options::Options;

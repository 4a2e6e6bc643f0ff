//! `ingest-node explain`: what became of one message, and what would become of it now.
//!
//! - `options`: what is asked for. `broker`, `database`: who is asked, each within bounds.
//! - `find`: which message it is. `gather`: the facts of it, from `stored`, `side_effects`, `registered` and `checked`.
//! - `page`: the answer, as text or JSON. What follows from the facts is decided in `ingest-core`.

mod broker;
mod checked;
mod command;
mod database;
mod find;
mod gather;
mod options;
mod page;
mod registered;
mod side_effects;
mod stored;

pub(crate) use self::command::run;
pub(crate) use self::options::Options;

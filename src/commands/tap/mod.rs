//! `ingest-node tap`: messages of a running node, as its checks decide them.

mod command;
mod lines;
mod options;

pub(crate) use self::command::run;
pub(crate) use self::options::Options;

//! `ingest-node gateway`: connects the dependencies, builds the actor tree, runs it, and drains it.

pub(crate) mod retire;
pub(crate) mod run;
mod tree;
mod wiring;

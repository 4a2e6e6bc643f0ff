//! `ingest-node run`: connects the dependencies, builds the actor tree, runs it, and drains it.

mod dependencies;
pub(crate) mod reload;
pub(crate) mod run;
pub(crate) mod tree;
mod wiring;

//! `ingest-node run`: connects the dependencies, builds the actor tree, runs it, and drains it.

pub(crate) mod admin;
mod dependencies;
pub(crate) mod preflight;
pub(crate) mod reload;
pub(crate) mod run;
pub(crate) mod tree;
mod wiring;

//! `ingest-node run` as a story: connect the dependencies, build the actor tree, run it, drain it.

mod dependencies;
pub(crate) mod preflight;
pub(crate) mod run;
pub(crate) mod tree;
mod wiring;

//! `ingest-node run` as a story: connect the dependencies, build the actor tree, run it, drain it.

pub mod preflight;
pub mod run;
pub mod tree;

//! The programs that run until they are stopped, each as a story: what it connects, its actor tree, its drain. `ingest-node run`
//! is this folder's own files, `ingest-node gateway` has a folder.

pub(crate) mod admin;
mod dependencies;
pub(crate) mod gateway;
pub(crate) mod preflight;
mod probes;
pub(crate) mod reload;
pub(crate) mod run;
mod supervise;
pub(crate) mod tree;
mod wiring;

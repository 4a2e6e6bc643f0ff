//! Tests of the configuration as a whole.

mod errors;
mod harness;
mod notices;
mod shown;
mod sources;

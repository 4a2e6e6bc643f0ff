//! The `ingest-node` program.
fn main() {}

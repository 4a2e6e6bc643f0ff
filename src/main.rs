//! The `ingest-node` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ingest_node::run()
}

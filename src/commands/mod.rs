//! The program's subcommands, one file or folder each, and the command line that names them.

pub mod backfill;
pub mod cli;
pub mod dispatch;
pub mod migrate;
pub mod provision_tenants;
pub mod quarantine;
pub mod simulate;

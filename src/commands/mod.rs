//! The program's subcommands, one file or folder each, and the command line that names them.

mod admin_client;
pub(crate) mod backfill;
pub(crate) mod check_config;
pub(crate) mod cli;
pub(crate) mod dispatch;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod generated;
pub(crate) mod migrate;
pub(crate) mod provision_tenants;
pub(crate) mod quarantine;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod tap;
pub(crate) mod top;

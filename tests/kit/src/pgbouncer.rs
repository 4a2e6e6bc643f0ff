//! A private PgBouncer: a pooler before a PostgreSQL of ours.

use std::os::unix::process::CommandExt;
use std::process::Command;

use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::{LeashOf, Process, find_program, wait_listening};
use crate::server_user::User;

/// A PgBouncer of our own: loopback only, lets everybody in.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _dir: TempDir,
    _process: Process,
}

impl PgBouncer {
    /// Starts one before the server on `port`; `mode` is `session` or `transaction`.
    ///
    /// # Panics
    /// When pgbouncer is not installed (the message explains how to install it) or does not come up.
    pub fn start(port: u16, mode: &str) -> Self {
        let dir = TempDir::with_prefix("ingest-pgbouncer-").expect("a temporary directory");
        let own = free_port();
        let file = dir.path().join("pgbouncer.ini");
        // `auth_type = any` logs in as the user that the database names, whoever comes.
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={port} user=ingest\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {own}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
        );
        std::fs::write(&file, settings).expect("a file of settings");
        let mut command = Command::new(find_program("pgbouncer", []));
        command.arg(&file);
        if let Some(user) = User::for_server() {
            user.claim(dir.path());
            command.uid(user.uid).gid(user.gid);
        }
        let log = dir.path().join("pgbouncer.log");
        let mut process =
            Process::spawn("pgbouncer", command, &log, LeashOf { signal: "TERM", remove: Some(dir.path()) });
        wait_listening(&mut process, own, &log);
        Self { port: own, _dir: dir, _process: process }
    }

    /// The URL of a database by way of it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://ingest@127.0.0.1:{}/{database}", self.port)
    }
}

//! A private InfluxDB 1: not a target of ours, but a real parser and store of line protocol.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Response, get, post};
use crate::ports::free_port;
use crate::process::{LeashOf, Process, find_program, wait_listening};

/// An InfluxDB 1 of our own: loopback only, its data in a temporary directory.
#[derive(Debug)]
pub struct Influx1 {
    address: String,
    _process: Process,
    _dir: TempDir,
}

impl Influx1 {
    /// Starts a server on free ports, and waits until it answers.
    ///
    /// # Panics
    /// When influxd is not installed (the message explains how to install it) or does not come up.
    pub fn start() -> Self {
        let dir = TempDir::with_prefix("ingest-influx1-").expect("a temporary directory");
        let (http, rpc) = (free_port(), free_port());
        let (path, config) = (dir.path().display(), dir.path().join("influxdb.conf"));
        let text = format!(
            "reporting-enabled = false\nbind-address = \"127.0.0.1:{rpc}\"\n\
             [meta]\ndir = \"{path}/meta\"\n[data]\ndir = \"{path}/data\"\nwal-dir = \"{path}/wal\"\n\
             [monitor]\nstore-enabled = false\n[http]\nbind-address = \"127.0.0.1:{http}\"\nlog-enabled = false\n"
        );
        std::fs::write(&config, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", config.display()));
        let mut command = Command::new(find_program("influxd", []));
        command.arg("run").arg("-config").arg(&config);
        let log = dir.path().join("influxd.log");
        let leash = LeashOf { signal: "TERM", remove: Some(dir.path()) };
        let mut process = Process::spawn("influxd", command, &log, leash);
        wait_listening(&mut process, http, &log);
        Self { address: format!("127.0.0.1:{http}"), _process: process, _dir: dir }
    }

    /// Makes a database.
    ///
    /// # Panics
    /// When the server does not.
    pub async fn create_database(&self, name: &str) {
        let path = format!("/query?q=CREATE%20DATABASE%20{name}");
        let made = post(&self.address, &path, &[], b"").await.expect("an answer");
        assert_eq!(made.status, 200, "{}", made.body);
    }

    /// Writes lines with timestamps in nanoseconds.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn write(&self, database: &str, lines: &str) -> Response {
        let path = format!("/write?db={database}&precision=ns");
        post(&self.address, &path, &[], lines.as_bytes()).await.expect("an answer")
    }

    /// All points of a table: the names of the columns (the first is `time`, in nanoseconds), and a row for each point.
    ///
    /// # Panics
    /// When the server does not answer as it should.
    pub async fn select_all(&self, database: &str, table: &str) -> (Vec<String>, Vec<Vec<Value>>) {
        let path = format!("/query?db={database}&epoch=ns&q=SELECT%20*%20FROM%20{table}");
        let answer = get(&self.address, &path).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
        let series = &answer["results"][0]["series"][0];
        let columns = serde_json::from_value(series["columns"].clone()).unwrap_or_else(|_| panic!("{answer}"));
        let rows = serde_json::from_value(series["values"].clone()).unwrap_or_else(|_| panic!("{answer}"));
        (columns, rows)
    }
}

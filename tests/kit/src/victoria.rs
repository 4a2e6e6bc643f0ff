//! A private VictoriaMetrics: a real server that speaks the v2 write API of InfluxDB.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::http::get;
use crate::ports::free_port;
use crate::process::{LeashOf, Process, find_program, wait_listening};

/// A VictoriaMetrics of our own: loopback only, its data in a temporary directory, the same port across restarts.
#[derive(Debug)]
pub struct VictoriaMetrics {
    port: u16,
    dir: TempDir,
    process: Option<Process>,
}

/// One field of one series, as VictoriaMetrics keeps it.
#[derive(Clone, Debug, Deserialize)]
pub struct Series {
    /// The tags, and `__name__`: table and field with `_` between.
    #[serde(rename = "metric")]
    pub labels: BTreeMap<String, String>,
    /// The values; booleans are 0 and 1.
    pub values: Vec<f64>,
    /// Their times, Unix milliseconds.
    pub timestamps: Vec<i64>,
}

impl VictoriaMetrics {
    /// Starts a server on a free port, and waits until it answers.
    ///
    /// # Panics
    /// When victoria-metrics is not installed (the message explains how to install it) or does not come up.
    pub fn start() -> Self {
        let dir = TempDir::with_prefix("ingest-victoria-").expect("a temporary directory");
        let mut server = Self { port: free_port(), dir, process: None };
        server.start_again();
        server
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops the server in order (SIGTERM); its data stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(Duration::from_secs(20));
        }
    }

    /// Starts the server again on the same port and data.
    ///
    /// # Panics
    /// When it runs already or does not come up.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "victoria-metrics runs already");
        let mut command = Command::new(find_program("victoria-metrics", []));
        command
            .arg(format!("-storageDataPath={}", self.dir.path().join("data").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{}", self.port))
            .args(["-retentionPeriod=100y", "-search.maxUniqueTimeseries=100000"]);
        let log = self.dir.path().join("victoria-metrics.log");
        let leash = LeashOf { signal: "TERM", remove: Some(self.dir.path()) };
        let mut process = Process::spawn("victoria-metrics", command, &log, leash);
        wait_listening(&mut process, self.port, &log);
        self.process = Some(process);
    }

    /// Everything that was written.
    ///
    /// # Panics
    /// When the server does not answer as it should.
    pub async fn series(&self) -> Vec<Series> {
        let address = format!("127.0.0.1:{}", self.port);
        // What came in last is searched only after a while, unless it is asked for.
        get(&address, "/internal/force_flush").await.expect("a flush");
        let answer = get(&address, "/api/v1/export?match[]=%7B__name__!=%22%22%7D").await.expect("an export");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("no series ({e}): {line}"));
        answer.body.lines().map(read).collect()
    }
}

//! The program under test as a child process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Response, get};
use crate::metrics::Metrics;
use crate::ports::free_port;
use crate::process::{LeashOf, Process, closed_pipe};
use crate::procfs;
use crate::wait::{wait_for, wait_for_value};

/// Long enough for a log line or an answer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a node is to be started.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    dir: Option<PathBuf>,
    is_unheard: bool,
    within: Vec<String>,
}

impl NodeBuilder {
    /// Sets an environment variable; the last value wins. Nothing of this process's own environment reaches the node.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Other arguments than `run`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
        self
    }

    /// Has another program become it: these words are followed by the program and its arguments.
    #[must_use]
    pub fn within(mut self, words: &[&str]) -> Self {
        self.within = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Keeps working directory and log in `dir` instead of a temporary directory.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Connects its standard output and error to pipes whose readers are gone.
    #[must_use]
    pub fn unheard(mut self) -> Self {
        self.is_unheard = true;
        self
    }

    /// Every variable that the node will have, but for `HTTP_BIND`.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Starts the node; [`Node::wait_ready`] waits until it is ready.
    pub fn start(self) -> Node {
        let port = free_port();
        let temporary =
            self.dir.is_none().then(|| TempDir::with_prefix("ingest-node-").expect("a temporary directory"));
        let dir =
            self.dir.clone().or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned())).expect("one of both");
        std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot create {}: {e}", dir.display()));
        let log = dir.join("ingest-node.log");
        let command = self.clone().env("HTTP_BIND", format!("127.0.0.1:{port}")).command(&dir);
        let leash = LeashOf { signal: "TERM", remove: temporary.as_ref().map(TempDir::path) };
        let process = match self.is_unheard {
            true => Process::spawn_unheard("ingest-node", command, leash),
            false => Process::spawn("ingest-node", command, &log, leash),
        };
        Node { process, address: format!("127.0.0.1:{port}"), log, _temporary: temporary }
    }

    /// Runs the program to its end, for subcommands and for starts that must fail.
    ///
    /// # Panics
    /// When it has not ended after `deadline`.
    pub async fn run_to_end(self, deadline: Duration) -> Finished {
        let temporary = TempDir::with_prefix("ingest-node-").expect("a temporary directory");
        let mut command = tokio::process::Command::from(self.command(temporary.path()));
        let output = || if self.is_unheard { closed_pipe() } else { Stdio::piped() };
        command.stdin(Stdio::null()).stdout(output()).stderr(output()).kill_on_drop(true);
        if !self.environment.contains_key("HTTP_BIND") {
            command.env("HTTP_BIND", format!("127.0.0.1:{}", free_port()));
        }
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {}: {e}", self.program.display()));
        let output = tokio::time::timeout(deadline, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("ingest-node {} still runs after {deadline:?}", self.arguments.join(" ")))
            .unwrap_or_else(|e| panic!("cannot wait for ingest-node: {e}"));
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn command(&self, dir: &Path) -> Command {
        let words: Vec<&OsStr> = self.within.iter().map(OsStr::new).chain([self.program.as_os_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        // The default file `config/ingest-node.toml` is looked up from the working directory: there is none in ours.
        command.args(&self.arguments).current_dir(dir).env_clear().env("RUST_BACKTRACE", "1");
        // Where an instrumented program counts which of its lines ran (`make coverage`).
        command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
        command.envs(&self.environment);
        command
    }
}

/// How a run to the end ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code; `None` = ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A running node. Its log goes to a file whose end is printed when a test fails while the node is in use.
#[derive(Debug)]
pub struct Node {
    process: Process,
    address: String,
    log: PathBuf,
    _temporary: Option<TempDir>,
}

impl Node {
    /// A node to be started: `program` is the path that Cargo gives as `env!("CARGO_BIN_EXE_ingest-node")`.
    pub fn builder(program: impl Into<PathBuf>) -> NodeBuilder {
        let program = program.into();
        NodeBuilder {
            // A node runs in a directory of its own.
            program: std::path::absolute(&program).unwrap_or(program),
            arguments: vec!["run".to_owned()],
            environment: BTreeMap::new(),
            dir: None,
            is_unheard: false,
            within: Vec::new(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `host:port` of its HTTP endpoints.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until this many log lines contain `text`, and returns their number: the log is written by a thread of its
    /// own, a moment after its events show elsewhere.
    ///
    /// # Panics
    /// When fewer such lines are there after half a minute.
    pub async fn wait_logged(&self, text: &str, times: usize) -> usize {
        let what = format!("{times} lines of the log with \"{text}\"");
        wait_for_value(&what, PATIENCE, async || {
            let logged = self.log().lines().filter(|line| line.contains(text)).count();
            (logged >= times).then_some(logged)
        })
        .await
    }

    /// An answer of one of its endpoints; `None` while it does not listen.
    pub async fn get(&self, path: &str) -> Option<Response> {
        get(&self.address, path).await.ok()
    }

    /// Waits until `/ready` answers 200.
    ///
    /// # Panics
    /// When the node exits, or is not ready within `deadline`.
    pub async fn wait_ready(&mut self, deadline: Duration) {
        let Self { process, address, .. } = self;
        let mut last = None;
        let pid = process.pid();
        wait_for(&format!("/ready of ingest-node ({pid})"), deadline, async || {
            let gone = process.try_wait();
            assert!(gone.is_none(), "ingest-node ended before it was ready: {gone:?}, last answer {last:?}");
            last = get(address, "/ready").await.ok();
            last.as_ref().is_some_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// The status of `/ready`; `None` while nothing listens.
    pub async fn ready_status(&self) -> Option<u16> {
        self.get("/ready").await.map(|answer| answer.status)
    }

    /// One scrape of `/metrics`.
    ///
    /// # Panics
    /// When the node does not answer within some seconds.
    pub async fn metrics(&self) -> Metrics {
        let answer = wait_for_value("/metrics", PATIENCE, async || self.get("/metrics").await).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Metrics::parse(&answer.body)
    }

    /// The JSON of `/stats`.
    ///
    /// # Panics
    /// When it is not there or no JSON.
    pub async fn stats(&self) -> Value {
        let answer = wait_for_value("/stats", PATIENCE, async || self.get("/stats").await).await;
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("/stats is not JSON ({e}): {}", answer.body))
    }

    /// CPU time used so far.
    pub fn cpu_time(&self) -> Option<Duration> {
        procfs::cpu_time(self.pid())
    }

    /// Asks it to drain and exit.
    pub fn sigterm(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// What Ctrl-C at a terminal sends.
    pub fn sigint(&mut self) {
        self.process.signal(Signal::INT);
    }

    /// Signals that mean something to other programs.
    pub fn sigusr(&mut self) {
        self.process.signal(Signal::USR1);
        self.process.signal(Signal::USR2);
    }

    /// Has it read its secrets again.
    pub fn sighup(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// Kills it (SIGKILL) and reaps it.
    pub fn sigkill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait(Duration::from_secs(10));
    }

    /// Freezes it (SIGSTOP): its connections stay open and it does nothing.
    pub fn pause(&mut self) {
        self.process.freeze();
    }

    /// Resumes it (SIGCONT).
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Whether it has not exited yet.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// Waits for its exit and returns its code; `None` = ended by a signal.
    ///
    /// # Panics
    /// When it still runs after `deadline`.
    pub async fn wait_exit(&mut self, deadline: Duration) -> Option<i32> {
        let process = &mut self.process;
        let status = wait_for_value("ingest-node to exit", deadline, async || process.try_wait()).await;
        status.code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "--- the last {} of {} lines of ingest-node's log:\n{}",
                tail.len(),
                lines.len(),
                tail.join("\n")
            );
        }
    }
}

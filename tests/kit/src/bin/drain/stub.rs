//! The stand-in for InfluxDB in a process of its own, and other children.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ingest_kit::{InfluxStub, free_port};
use serde_json::{Value, json};

/// The hidden subcommand that is the stand-in's own process.
pub(crate) const INFLUX_STUB: &str = "--influx-stub";

/// The same for one that takes its time and keeps a journal.
pub(crate) const INFLUX_WATCH: &str = "--influx-watch";

/// Counts lines until the other end of standard input goes away, then prints how many.
pub(crate) fn count_lines(port: u16) {
    let stub = InfluxStub::builder().port(port).count_only().start();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("{}", stub.counts().lines_written);
}

/// Answers every write after `latency_ms`, and every line of standard input with a line of JSON: see [`Watcher`].
pub(crate) fn watch_lines(port: u16, latency_ms: u64) {
    let stub = InfluxStub::builder().port(port).journal().start();
    stub.set_latency(Duration::from_millis(latency_ms));
    for line in std::io::stdin().lines() {
        let line = line.expect("a line of text");
        let answer = match line.split(' ').collect::<Vec<_>>()[..] {
            ["count"] => json!({"lines": stub.counts().lines_written, "distinct": stub.distinct_times()}),
            ["hang", database] => {
                stub.hang(Some(database));
                Value::Null
            }
            ["release"] => {
                stub.release();
                Value::Null
            }
            ["delays", from_ns, to_ns, except] => delays(&stub, number(from_ns)..number(to_ns), except),
            _ => panic!("the stand-in does not understand {line:?}"),
        };
        println!("{answer}");
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// How old the oldest lines of requests were that came within a time.
fn delays(stub: &InfluxStub, within: std::ops::Range<i64>, except: &str) -> Value {
    let requests = stub.requests();
    let counted = requests.iter().filter(|one| within.contains(&one.arrived_ns) && one.database != except);
    let mut delays: Vec<f64> = counted.map(|one| (one.arrived_ns - one.oldest_ns) as f64 / 1e6).collect();
    delays.sort_by(f64::total_cmp);
    let quantile = |part: f64| delays.get(((delays.len() as f64 * part) as usize).min(delays.len().max(1) - 1));
    json!({"requests": delays.len(), "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0)})
}

/// The stand-in in a process of its own, so that its work is not the node's and not ours.
pub(crate) struct LineCounter {
    pub url: String,
    stdin: ChildStdin,
    process: Guard,
}

impl LineCounter {
    pub(crate) fn start() -> Self {
        let (url, stdin, process) = start(INFLUX_STUB, &[]);
        Self { url, stdin, process }
    }

    pub(crate) fn finish(mut self) -> u64 {
        drop(self.stdin);
        let mut output = String::new();
        self.process.0.stdout.take().expect("its output").read_to_string(&mut output).expect("its output");
        output.trim().parse().unwrap_or_else(|_| panic!("not a count: {output}"))
    }
}

/// A stand-in that answers only after a while, and can be asked what has come so far.
pub(crate) struct Watcher {
    pub url: String,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _process: Guard,
}

/// How old the oldest lines of requests were when those came.
pub(crate) struct Delays {
    pub requests: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Watcher {
    pub(crate) fn start(latency: Duration) -> Self {
        let (url, stdin, mut process) = start(INFLUX_WATCH, &[latency.as_millis().to_string()]);
        let stdout = BufReader::new(process.0.stdout.take().expect("its output"));
        Self { url, stdin, stdout, _process: process }
    }

    /// Lines written so far: those that differ in their time, and all.
    pub(crate) fn count(&mut self) -> (u64, u64) {
        let output = self.ask("count");
        let number = |key: &str| output[key].as_u64().unwrap_or_else(|| panic!("no {key} in {output}"));
        (number("distinct"), number("lines"))
    }

    /// Lets writes to a database wait.
    pub(crate) fn hang(&mut self, database: &str) {
        self.ask(&format!("hang {database}"));
    }

    /// Ends that.
    pub(crate) fn release(&mut self) {
        self.ask("release");
    }

    /// The delays of all requests within a time (Unix nanoseconds), of all databases but one.
    pub(crate) fn delays(&mut self, (from_ns, to_ns): (i64, i64), except: &str) -> Delays {
        let output = self.ask(&format!("delays {from_ns} {to_ns} {except}"));
        let ms = |key: &str| output[key].as_f64().unwrap_or(f64::NAN);
        Delays { requests: output["requests"].as_u64().unwrap_or(0), p50_ms: ms("p50_ms"), p99_ms: ms("p99_ms") }
    }

    fn ask(&mut self, what: &str) -> Value {
        writeln!(self.stdin, "{what}").expect("the stand-in listens");
        let mut output = String::new();
        self.stdout.read_line(&mut output).expect("the stand-in answers");
        serde_json::from_str(&output).unwrap_or_else(|e| panic!("not JSON ({e}): {output}"))
    }
}

fn start(subcommand: &str, arguments: &[String]) -> (String, ChildStdin, Guard) {
    let port = free_port();
    let mut process = Command::new(std::env::current_exe().expect("this program"))
        .args([subcommand, &port.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start the stand-in: {e}"));
    let stdin = process.stdin.take().expect("its input");
    (format!("http://127.0.0.1:{port}"), stdin, Guard(process))
}

/// A child that does not outlive us.
pub(crate) struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! The stand-in for InfluxDB in a process of its own, and other children.

use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};

use ingest_kit::{InfluxStub, free_port};

/// The hidden subcommand that is the stand-in's own process.
pub const INFLUX_STUB: &str = "--influx-stub";

/// Counts lines until the other end of standard input goes away, then says how many.
pub fn count_lines(port: u16) {
    let stub = InfluxStub::builder().port(port).count_only().start();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("{}", stub.counts().lines_written);
}

/// The stand-in in a process of its own, so that its work is not the node's and not ours.
pub struct LineCounter {
    pub url: String,
    stdin: ChildStdin,
    process: Guard,
}

impl LineCounter {
    pub fn start() -> Self {
        let port = free_port();
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args([INFLUX_STUB, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start the stand-in: {e}"));
        let stdin = process.stdin.take().expect("its input");
        Self { url: format!("http://127.0.0.1:{port}"), stdin, process: Guard(process) }
    }

    pub fn finish(mut self) -> u64 {
        drop(self.stdin);
        let mut said = String::new();
        self.process.0.stdout.take().expect("its output").read_to_string(&mut said).expect("its output");
        said.trim().parse().unwrap_or_else(|_| panic!("not a count: {said}"))
    }
}

/// A child that does not outlive us.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! A private Mosquitto.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::{LeashOf, Process, find_program, wait_listening};

/// The configuration file.
const CONFIG: &str = "mosquitto.conf";

/// A Mosquitto of our own: loopback only, its data in a temporary directory, the same port across restarts.
#[derive(Debug)]
pub struct Mosquitto {
    port: u16,
    dir: TempDir,
    process: Option<Process>,
}

impl Mosquitto {
    /// Starts a broker that lets everybody in, keeps every message, and writes each change to its disk.
    ///
    /// # Panics
    /// When mosquitto is not installed (the message explains how to install it) or does not come up.
    pub fn start() -> Self {
        Self::start_configured("allow_anonymous true\nautosave_on_changes true\nautosave_interval 1\n")
    }

    /// As [`Mosquitto::start`], with this configuration in place of that: users, rights, TLS. Of the listener it may set
    /// everything but its port; `{dir}` is the broker's directory.
    pub fn start_configured(config: &str) -> Self {
        Self::start_listening("listener {port} 127.0.0.1", config)
    }

    /// As [`Mosquitto::start_configured`], with the file as an operator has it: `{port}` is the port, and where the data are is
    /// set to the broker's directory.
    pub fn start_with_file(config: &str) -> Self {
        Self::start_listening("", config)
    }

    fn start_listening(listener: &str, config: &str) -> Self {
        let dir = TempDir::with_prefix("ingest-mosquitto-").expect("a temporary directory");
        let mut broker = Self { port: free_port(), dir, process: None };
        let persistence = match listener {
            "" => "",
            _ => "persistence true\npersistence_location {dir}/\nmax_queued_messages 0\n",
        };
        // As root it would become another user, who can't enter the directory.
        broker.configure(&format!("user root\n{listener}\n{persistence}{config}\n"));
        broker.start_again();
        broker
    }

    /// Writes another configuration, for the next start or SIGHUP.
    fn configure(&self, config: &str) {
        let text = config.replace("{port}", &self.port.to_string()).replace("{dir}", &self.dir().display().to_string());
        std::fs::write(self.dir().join(CONFIG), text).expect("a configuration file");
    }

    /// Its directory: data, configuration, log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The port, the same across restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the broker in order (SIGTERM); it saves its state.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills the broker (SIGKILL); what it had not saved is lost.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(20));
        }
    }

    /// Has it read its configuration and its password files again (SIGHUP).
    pub fn reload(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::HUP);
        }
    }

    /// Starts the broker again on the same port and data.
    ///
    /// # Panics
    /// When it runs already or does not come up.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "mosquitto runs already");
        let mut command = Command::new(find_program("mosquitto", []));
        command.arg("-c").arg(self.dir().join(CONFIG));
        let leash = LeashOf { signal: "TERM", remove: Some(self.dir()) };
        let mut process = Process::spawn("mosquitto", command, &self.log(), leash);
        wait_listening(&mut process, self.port, &self.log());
        self.process = Some(process);
    }

    /// The broker's log file.
    pub fn log(&self) -> PathBuf {
        self.dir().join("mosquitto.log")
    }
}

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
    /// Starts a broker that keeps every message on its disk, with more configuration in Mosquitto's own format: users, rights,
    /// TLS, limits.
    ///
    /// # Panics
    /// When mosquitto is not installed (the message explains how to install it) or does not come up.
    pub fn start_configured(config: &str) -> Self {
        let own = "listener {port} 127.0.0.1\npersistence true\npersistence_location {dir}/\nmax_queued_messages 0\n";
        Self::start_with_file(&format!("{own}{config}"))
    }

    /// Starts a broker with a whole configuration file, in which `{port}` is its port and `{dir}` its directory.
    ///
    /// # Panics
    /// As [`Mosquitto::start_configured`].
    pub fn start_with_file(config: &str) -> Self {
        let dir = TempDir::with_prefix("ingest-mosquitto-").expect("a temporary directory");
        let mut broker = Self { port: free_port(), dir, process: None };
        let config = config.replace("{port}", &broker.port.to_string());
        let config = config.replace("{dir}", &broker.dir().display().to_string());
        // As root it would become another user, who can't enter the directory.
        std::fs::write(broker.dir().join(CONFIG), format!("user root\n{config}\n")).expect("a configuration file");
        broker.start_again();
        broker
    }

    /// The plugin of users and rights that are administered while the broker runs.
    ///
    /// # Panics
    /// When it is not where the distributions have it.
    pub fn dynamic_security() -> PathBuf {
        let files =
            ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
                .map(|dir| Path::new(dir).join("mosquitto_dynamic_security.so"));
        files.into_iter().find(|file| file.is_file()).expect("mosquitto_dynamic_security.so, of the package mosquitto")
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

    /// Whether what the broker has saved, which a kill leaves, holds this text.
    pub fn has_saved(&self, text: &str) -> bool {
        let saved = std::fs::read(self.dir().join("mosquitto.db")).unwrap_or_default();
        saved.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// The broker's log file.
    pub fn log(&self) -> PathBuf {
        self.dir().join("mosquitto.log")
    }
}

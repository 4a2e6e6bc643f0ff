//! A private nats-server with JetStream.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, jetstream};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::{LeashOf, Process, find_program};

/// Longest time from start to the first answer; a few hundred milliseconds are usual.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The configuration file, where there is one.
const CONFIG: &str = "nats-server.conf";

/// A nats-server of our own: loopback only, file storage in a directory of its own, the same port across restarts.
#[derive(Debug)]
pub struct Nats {
    port: u16,
    dir: PathBuf,
    process: Option<Process>,
    temporary: Option<TempDir>,
    login: Login,
}

/// How the test itself logs in.
struct Login(Box<dyn Fn() -> ConnectOptions + Send + Sync>);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Nats {
    /// Starts a server on a free port with an empty store, and waits until it answers.
    ///
    /// # Panics
    /// When nats-server is not installed (the message explains how to install it) or does not come up.
    pub fn start() -> Self {
        let temporary = TempDir::with_prefix("ingest-nats-").expect("a temporary directory");
        Self::start_with(temporary.path().to_owned(), Some(temporary))
    }

    /// As [`Nats::start`], with the store and the log in `dir`, which stays.
    pub fn start_in(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap_or_else(|e| panic!("cannot create {}: {e}", dir.display()));
        Self::start_with(dir.to_owned(), None)
    }

    /// As [`Nats::start`], with more configuration in nats-server's own format: limits, users and their permissions.
    pub fn start_configured(config: &str) -> Self {
        let temporary = TempDir::with_prefix("ingest-nats-").expect("a temporary directory");
        std::fs::write(temporary.path().join(CONFIG), config).expect("a configuration file");
        Self::start_with(temporary.path().to_owned(), Some(temporary))
    }

    /// As [`Nats::start_configured`], on a server that the test itself has to log in to.
    pub fn start_secured(config: &str, login: impl Fn() -> ConnectOptions + Send + Sync + 'static) -> Self {
        Self { login: Login(Box::new(login)), ..Self::start_configured(config) }
    }

    fn start_with(dir: PathBuf, temporary: Option<TempDir>) -> Self {
        let login = Login(Box::new(ConnectOptions::new));
        let mut nats = Self { port: free_port(), dir, process: None, temporary, login };
        nats.start_again();
        nats
    }

    /// Starts the server again with another configuration than that of [`Nats::start_configured`].
    pub fn restart_configured(&mut self, config: &str) {
        self.stop();
        std::fs::write(self.dir.join(CONFIG), config).expect("a configuration file");
        self.start_again();
    }

    /// The port, the same across restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Deletes all streams and consumers of a server that does not run.
    pub fn wipe(&self) {
        assert!(self.process.is_none(), "nats-server runs");
        std::fs::remove_dir_all(self.dir.join("store")).expect("a store to delete");
    }

    /// The address with a user's name and password.
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Stops the server in order (SIGTERM); the store stays.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills the server (SIGKILL); what it had not written is lost.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Freezes the server (SIGSTOP): its connections stay open and it answers nothing.
    pub fn pause(&mut self) {
        if let Some(process) = &mut self.process {
            process.freeze();
        }
    }

    /// Resumes it (SIGCONT).
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(20));
        }
    }

    /// Starts the server again on the same port and store, and waits until it answers.
    ///
    /// # Panics
    /// When it runs already or does not come up.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "nats-server runs already");
        let mut command = Command::new(program());
        command
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--jetstream", "--store_dir"])
            .arg(self.dir.join("store"));
        let config = self.dir.join(CONFIG);
        if config.exists() {
            command.arg("--config").arg(config);
        }
        let leash = LeashOf { signal: "TERM", remove: self.temporary.as_ref().map(TempDir::path) };
        let mut process = Process::spawn("nats-server", command, &self.log(), leash);
        let start = Instant::now();
        while !self.answers() {
            let gone = process.try_wait();
            assert!(
                gone.is_none() && start.elapsed() < START_WITHIN,
                "nats-server does not answer on port {} ({gone:?}); its log:\n{}",
                self.port,
                std::fs::read_to_string(self.log()).unwrap_or_default(),
            );
            std::thread::sleep(Duration::from_millis(10)); // polls: the server does not announce that it is ready
        }
        self.process = Some(process);
    }

    /// Whether the server greets with JetStream on.
    fn answers(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let Ok(mut socket) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
        let mut greeting = [0; 2048];
        let _ = socket.set_read_timeout(Some(Duration::from_secs(1)));
        let read = socket.read(&mut greeting).unwrap_or(0);
        String::from_utf8_lossy(&greeting[..read]).contains("\"jetstream\":true")
    }

    /// Up to which stream sequence everything is acknowledged of a consumer of the first account, as the server's file has it: what a
    /// restart begins with. `None` while there is no such file.
    pub fn saved_ack_floor(&self, stream: &str, consumer: &str) -> Option<u64> {
        let file = format!("store/jetstream/$G/streams/{stream}/obs/{consumer}/o.dat");
        let state = std::fs::read(self.dir.join(file)).ok()?;
        // Magic number and version; then, as varints, the consumer's and the stream's sequence of the floor, and more.
        let mut numbers = state.get(2..)?.split_inclusive(|byte| byte & 0x80 == 0);
        let floor = numbers.nth(1)?.iter().rev();
        Some(floor.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.dir.join("nats-server.log")
    }

    /// A client of this server.
    pub async fn connect(&self) -> async_nats::Client {
        let options = (self.login.0)();
        options.connect(self.url()).await.unwrap_or_else(|e| panic!("cannot connect to {}: {e}", self.url()))
    }

    /// JetStream of this server.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.connect().await)
    }
}

/// The server to run: the one that `INGEST_TEST_NATS_SERVER` names, else the distribution's.
///
/// # Panics
/// When it is missing; the message explains how to install it.
fn program() -> PathBuf {
    let Some(named) = std::env::var_os("INGEST_TEST_NATS_SERVER").map(PathBuf::from) else {
        return find_program("nats-server", []);
    };
    assert!(named.is_file(), "INGEST_TEST_NATS_SERVER: there is no {}; run: make setup", named.display());
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::{Outgoing, create_streams, publish_all};

    #[tokio::test]
    async fn a_message_survives_a_killed_server_and_the_port_stays() {
        let mut nats = Nats::start();
        let url = nats.url();
        let jetstream = nats.jetstream().await;
        create_streams(&jetstream).await;
        let sequences = publish_all(&jetstream, [Outgoing::new("telemetry.acme", "{}")]).await;
        assert_eq!(sequences, [1]);

        nats.kill();
        nats.start_again();
        assert_eq!(nats.url(), url);
        let stream = nats.jetstream().await.get_stream("TELEMETRY").await.unwrap();
        assert_eq!(stream.cached_info().state.messages, 1);

        nats.stop();
        assert!(async_nats::connect(&url).await.is_err());
    }

    #[test]
    fn the_temporary_store_goes_with_the_server() {
        let nats = Nats::start();
        let dir = nats.dir.clone();
        assert!(dir.exists());
        drop(nats);
        assert!(!dir.exists());
    }
}

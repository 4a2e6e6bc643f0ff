//! A private PostgreSQL cluster.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio_postgres::error::SqlState;

use crate::database::{Database, DropDatabase};
use crate::pki::Certified;
use crate::ports::free_port;
use crate::process::{LeashOf, Process, find_program, freeze, send};
use crate::procfs::family;
use crate::scratch::scratch_dir;
use crate::server_user::User;
use crate::wait::wait_for;

/// Longest time from start to the first answer: a crashed cluster recovers first.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How a cluster is to be set up.
#[derive(Clone, Debug, Default)]
pub struct PostgresBuilder {
    is_shared: bool,
    durable: bool,
    bench: bool,
    dir: Option<PathBuf>,
    tls: Option<PostgresTls>,
}

/// TLS of a cluster, and who gets in.
#[derive(Clone, Debug)]
pub struct PostgresTls {
    /// The server's certificate.
    pub server: Certified,
    /// The certificate (PEM) of the authority that signs clients.
    pub client_authority: String,
    /// Lines of `pg_hba.conf` below the one that lets `ingest` in.
    pub hba: String,
}

impl PostgresBuilder {
    /// With `true`, a commit is on disk when it returns (`fsync` on), as in production. Tests do without: what they kill are
    /// processes, and the kernel keeps what those wrote. It has to be written, though: `synchronous_commit` is always on.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Memory and WAL for a load of hundreds of thousands of rows (`shared_buffers` 512 MB, `max_wal_size` 4 GB).
    #[must_use]
    pub fn bench(mut self) -> Self {
        self.bench = true;
        self
    }

    /// Puts the cluster in `dir`, which stays; an existing cluster there is used again.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// With TLS.
    #[must_use]
    pub fn tls(mut self, tls: PostgresTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Creates the cluster and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed (the message explains how to install it) or does not come up.
    pub fn start(self) -> Postgres {
        let bin = bin_dir();
        let user = User::for_server();
        let (dir, temporary) = match &self.dir {
            Some(dir) => (dir.clone(), None),
            None => {
                let temporary = scratch_dir("ingest-postgres-", !self.durable);
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot create {}: {e}", dir.display()));
        // The server looks up its directory by its absolute name.
        let dir = dir.canonicalize().unwrap_or_else(|e| panic!("cannot resolve {}: {e}", dir.display()));
        if let Some(user) = &user {
            user.claim(&dir);
        }
        let mut postgres = Postgres { port: free_port(), bin, dir, user, process: None, temporary };
        if !postgres.data().join("PG_VERSION").exists() {
            match postgres.temporary.is_some() && !self.durable && !self.is_shared {
                true => postgres.copy(&Postgres::shared().fresh(), &postgres.data()),
                false => postgres.initialise(),
            }
        }
        if self.is_shared {
            postgres.copy(&postgres.data(), &postgres.fresh());
        }
        postgres.configure(&self);
        postgres.start_again();
        postgres
    }
}

/// A cluster of our own: loopback only, superuser `ingest` without a password, the same port across restarts.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    bin: PathBuf,
    dir: PathBuf,
    user: Option<User>,
    process: Option<Process>,
    temporary: Option<TempDir>,
}

impl Postgres {
    /// A cluster for tests, in a temporary directory, without fsync.
    pub fn start() -> Self {
        PostgresBuilder::default().start()
    }

    /// A cluster with other settings.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// Whether a cluster can run in `dir`. Not where the process is root, which may not run it, and a directory above is closed to
    /// the user who runs it instead.
    pub fn can_live_in(dir: &Path) -> bool {
        let Ok(dir) = std::path::absolute(dir) else { return false };
        User::for_server().is_none_or(|user| user.can_reach(&dir))
    }

    /// The one cluster of this test binary, for all tests that never stop it; each takes a database of its own from it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| PostgresBuilder { is_shared: true, ..Default::default() }.start())
    }

    /// The URL of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://ingest@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates an empty database.
    pub async fn create_database(&self) -> Database {
        self.create_database_like("template0").await
    }

    /// Creates a copy of a database without connections; a migrated one is made much faster than by migrating.
    pub async fn create_database_like(&self, template: &str) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = Database::new("postgres", self.url("postgres")).connect().await;
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // A connection that was just closed counts as a user of the template for another moment.
        wait_for("no connection to the template", Duration::from_secs(10), async || {
            match admin.batch_execute(&sql).await {
                Ok(()) => true,
                Err(e) if e.code() == Some(&SqlState::OBJECT_IN_USE) => false,
                Err(e) => panic!("cannot create a database like {template}: {e:?}"),
            }
        })
        .await;
        let guard = self.temporary.is_some().then(|| DropDatabase {
            dropdb: self.bin.join("dropdb"),
            admin_url: self.url("postgres"),
            name: name.clone(),
        });
        Database::new(&name, self.url(&name)).dropped_with(guard)
    }

    /// Stops the server in order: open transactions are rolled back, connections are closed (a fast shutdown).
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Kills all its processes at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        let Some(process) = &self.process else { return };
        for pid in family(process.pid()) {
            send(pid, Signal::KILL);
        }
        self.end(Signal::KILL);
    }

    /// Freezes all its processes (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        let process = self.process.as_ref().expect("a running server");
        // It starts no others any more once it is frozen itself.
        freeze(process.pid());
        for pid in family(process.pid()) {
            freeze(pid);
        }
    }

    /// Resumes a frozen server (SIGCONT).
    pub fn resume(&self) {
        self.send_to_all(Signal::CONT);
    }

    fn send_to_all(&self, signal: Signal) {
        let process = self.process.as_ref().expect("a running server");
        for pid in family(process.pid()) {
            send(pid, signal);
        }
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(30));
        }
    }

    /// Starts the server again on the same port and data, and waits until it answers.
    ///
    /// # Panics
    /// When it runs already or does not come up.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "PostgreSQL runs already");
        let start = Instant::now();
        let mut process = self.spawn();
        while !self.answers() {
            if process.try_wait().is_some() && start.elapsed() < START_WITHIN {
                // After a kill, the last of its processes may hold the shared memory for another moment.
                process = self.spawn();
            }
            assert!(
                start.elapsed() < START_WITHIN,
                "PostgreSQL does not answer on port {}; its log:\n{}",
                self.port,
                std::fs::read_to_string(self.log()).unwrap_or_default(),
            );
            std::thread::sleep(Duration::from_millis(20)); // polls: pg_isready reports when it is ready
        }
        self.process = Some(process);
    }

    fn spawn(&self) -> Process {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        // SIGQUIT: PostgreSQL's immediate shutdown, which takes its children along.
        let leash = LeashOf { signal: "QUIT", remove: self.temporary.as_ref().map(TempDir::path) };
        Process::spawn("postgres", command, &self.log(), leash)
    }

    fn answers(&self) -> bool {
        self.command("pg_isready")
            .args(["--quiet", "--host", "127.0.0.1", "--port", &self.port.to_string(), "--dbname", "postgres"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn initialise(&self) {
        let output = self
            .command("initdb")
            .args(["--username", "ingest", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
            .arg("--pgdata")
            .arg(self.data())
            .output()
            .unwrap_or_else(|e| panic!("cannot start initdb: {e}"));
        assert!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Copies a data directory that no server uses, which takes a tenth of the time of making one.
    fn copy(&self, from: &Path, to: &Path) {
        let mut command = Command::new("cp");
        command.arg("-a").args([from, to]);
        self.as_server(&mut command);
        let output = command.output().unwrap_or_else(|e| panic!("cannot start cp: {e}"));
        assert!(output.status.success(), "cp failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes what differs from the server's defaults to `postgresql.auto.conf`, which takes precedence.
    fn configure(&self, builder: &PostgresBuilder) {
        let durable = if builder.durable { "on" } else { "off" };
        let (buffers, wal) = if builder.bench { ("512MB", "4GB") } else { ("128MB", "1GB") };
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nmax_connections = 200\n\
             fsync = {durable}\nsynchronous_commit = on\nfull_page_writes = {durable}\n\
             shared_buffers = {buffers}\nmax_wal_size = {wal}\nlog_min_error_statement = panic\n",
            self.port,
        );
        let settings = match &builder.tls {
            Some(tls) => {
                let hba = format!("host all ingest 127.0.0.1/32 trust\n{}\n", tls.hba);
                self.write("pg_hba.conf", &hba);
                self.write("clients.pem", &tls.client_authority);
                self.install(&tls.server);
                settings
                    + "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'clients.pem'\n"
            }
            None => settings,
        };
        self.write("postgresql.auto.conf", &settings);
    }

    /// Installs a certificate; the server reads it at its start, and when it is told to ([`Postgres::reload`]).
    pub fn install(&self, server: &Certified) {
        self.write("server.pem", &server.certificate);
        self.write("server.key", &server.key);
    }

    /// Has the server read its files again (SIGHUP).
    pub fn reload(&self) {
        let process = self.process.as_ref().expect("a running server");
        send(process.pid(), Signal::HUP);
    }

    /// Writes a file of the server's alone into its data directory.
    fn write(&self, name: &str, text: &str) {
        let file = self.data().join(name);
        let cannot = |e| panic!("cannot write {}: {e}", file.display());
        std::fs::write(&file, text).unwrap_or_else(cannot);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap_or_else(cannot);
        if let Some(user) = &self.user {
            chown(&file, Some(user.uid), Some(user.gid)).unwrap_or_else(cannot);
        }
    }

    /// The port, the same across restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.dir).env("LC_ALL", "C.UTF-8");
        self.as_server(&mut command);
        command
    }

    fn as_server(&self, command: &mut Command) {
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid);
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A data directory as it was made, of the shared cluster.
    fn fresh(&self) -> PathBuf {
        self.dir.join("fresh")
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.process.is_some() && !std::thread::panicking() {
            self.send_to_all(Signal::CONT);
            self.end(Signal::QUIT);
        } else {
            self.kill();
        }
    }
}

/// Where the server's programs are: where `INGEST_TEST_POSTGRES_BIN` says, else the newest installed ones.
fn bin_dir() -> PathBuf {
    if let Some(named) = std::env::var_os("INGEST_TEST_POSTGRES_BIN").map(PathBuf::from) {
        assert!(named.join("initdb").is_file(), "no initdb in {} (INGEST_TEST_POSTGRES_BIN)", named.display());
        return named;
    }
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    versions.sort_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    let program = find_program("initdb", versions);
    // Debian links some of the programs into PATH, never the server itself: stay where the real file is.
    let program = program.canonicalize().unwrap_or(program);
    program.parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_database_is_fresh_and_a_template_is_copied() {
        let cluster = Postgres::shared();
        let first = cluster.create_database().await;
        first.connect().await.batch_execute("CREATE TABLE t AS SELECT 7 AS seven").await.unwrap();
        let second = cluster.create_database().await;
        assert_eq!(second.count("pg_tables WHERE tablename = 't'").await, 0);
        let copy = cluster.create_database_like(first.name()).await;
        assert_eq!(copy.count("t WHERE seven = 7").await, 1);
        let name = first.name().to_owned();
        drop(first);
        assert_eq!(second.count(&format!("pg_database WHERE datname = '{name}'")).await, 0);
    }

    #[tokio::test]
    async fn committed_rows_survive_a_stop_a_kill_and_a_freeze() {
        let mut cluster = Postgres::start();
        let database = cluster.create_database().await;
        database.connect().await.batch_execute("CREATE TABLE t AS SELECT 7 AS seven").await.unwrap();

        cluster.stop();
        assert!(database.try_connect().await.is_err());
        cluster.start_again();
        assert_eq!(database.count("t").await, 1);

        cluster.kill();
        assert!(database.try_connect().await.is_err());
        cluster.start_again();
        assert_eq!(database.count("t").await, 1);

        let client = database.connect().await;
        cluster.pause();
        let query = client.simple_query("SELECT 1");
        assert!(tokio::time::timeout(Duration::from_millis(300), query).await.is_err());
        cluster.resume();
        assert_eq!(database.count("t").await, 1);
    }

    #[tokio::test]
    async fn a_durable_cluster_says_so() {
        let cluster = Postgres::builder().durable(true).bench().start();
        let database = cluster.create_database().await;
        let on = "pg_settings WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'on'";
        assert_eq!(database.count(on).await, 2);
    }
}

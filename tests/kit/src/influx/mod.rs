//! A stand-in for InfluxDB 3 Core that answers as a running server (3.10.1) was seen to answer.
//!
//! - `server`: HTTP: parameters, sizes, encodings, tokens, the bodies of errors.
//! - `store`: databases, tables, column types (the first writer wins), points (the last value of a field wins), limits.
//! - `lines`: one line of line protocol, read with the format owner's parser, and the server's message about a bad one.
//! - `tls`: a certificate.
//! - `control`: what a test may do to it: slow, failing, hanging, counting only. `knobs`: what it may change at a running one.
//! - `v2`: the older API, as this server speaks it. `query`: the SQL subset that it supports.
//! - `journal`: arrival times and timestamps of lines that it only counts.

mod control;
mod journal;
mod knobs;
mod lines;
mod name;
mod query;
mod server;
mod store;
mod tls;
mod v2;

pub use control::Counts;
pub use journal::Request;
pub use lines::{Point, Value, parse_line};
pub use store::TypeScope;

use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use rustls::ServerConfig;

use crate::ports::free_port;
use control::Shared;

/// How a stand-in is to be set up.
#[derive(Clone, Debug, Default)]
pub struct InfluxStubBuilder {
    port: Option<u16>,
    token: Option<String>,
    database_limit: Option<usize>,
    type_scope: TypeScope,
    count_only: bool,
    journal: bool,
    tls: Option<ServerConfig>,
}

impl InfluxStubBuilder {
    /// Listens on this port instead of any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Wants this token with every request; without, any or no `Authorization` header will do.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Refuses further databases, as Core does from the sixth on.
    #[must_use]
    pub fn database_limit(mut self, limit: usize) -> Self {
        self.database_limit = Some(limit);
        self
    }

    /// How far a column's type reaches; see [`TypeScope`].
    #[must_use]
    pub fn type_scope(mut self, scope: TypeScope) -> Self {
        self.type_scope = scope;
        self
    }

    /// Counts lines by their newlines and neither reads nor keeps them: cheap enough to stand beside a benchmark.
    #[must_use]
    pub fn count_only(mut self) -> Self {
        self.count_only = true;
        self
    }

    /// Speaks TLS with a certificate for `127.0.0.1` of an authority of its own, whose certificate (PEM) comes back.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn tls(mut self) -> (Self, String) {
        let (config, authority) = tls::server_config();
        self.tls = Some(config);
        (self, authority)
    }

    /// Counts only, and notes when requests came and which times their lines had.
    #[must_use]
    pub fn journal(mut self) -> Self {
        self.journal = true;
        self.count_only()
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(self) -> InfluxStub {
        let port = self.port.unwrap_or_else(free_port);
        let mut stub = InfluxStub { port, shared: Arc::new(Shared::new(&self)), tls: self.tls, running: None };
        stub.start_again();
        stub
    }
}

/// A running stand-in. It keeps what was written in memory, also across [`InfluxStub::stop`].
#[derive(Debug)]
pub struct InfluxStub {
    port: u16,
    shared: Arc<Shared>,
    tls: Option<ServerConfig>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    handle: ServerHandle,
    thread: JoinHandle<()>,
}

impl InfluxStub {
    /// A stand-in on a free loopback port: no token, any number of databases, types as in the real one.
    pub fn start() -> Self {
        InfluxStubBuilder::default().start()
    }

    /// A stand-in with other settings.
    pub fn builder() -> InfluxStubBuilder {
        InfluxStubBuilder::default()
    }

    /// `http://127.0.0.1:PORT`, or `https://..`.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Goes away: open connections break, new ones are refused.
    pub async fn stop(&mut self) {
        if let Some(Running { handle, thread }) = self.running.take() {
            handle.stop(false).await;
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }

    /// Listens again on the same port.
    ///
    /// # Panics
    /// When it runs already, or the port was taken meanwhile.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the stand-in runs already");
        let (send, started) = std::sync::mpsc::channel();
        let (shared, port, tls) = (self.shared.clone(), self.port, self.tls.clone());
        let thread = std::thread::spawn(move || server::run(shared, port, tls, &send));
        let handle = started.recv().expect("the server's thread").unwrap_or_else(|e| panic!("cannot listen: {e}"));
        self.running = Some(Running { handle, thread });
    }

    /// Answers every write so much later.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.knobs().latency = latency;
    }

    /// Takes writes to `database` (`None` = to any) and does not answer until [`InfluxStub::release`].
    pub fn hang(&self, database: Option<&str>) {
        let mut knobs = self.shared.knobs();
        match database {
            Some(name) => drop(knobs.hanging.insert(name.to_owned())),
            None => knobs.all_hanging = true,
        }
    }

    /// Ends every [`InfluxStub::hang`]; what waited is written and answered now.
    pub fn release(&self) {
        let mut knobs = self.shared.knobs();
        knobs.hanging.clear();
        knobs.all_hanging = false;
    }

    /// Fixes a column's type beforehand, as `POST /api/v3/configure/table` does. `kind`: a value of that type.
    pub fn define_field(&self, database: &str, table: &str, field: &str, kind: &Value) {
        self.shared.store().define(database, table, field, kind.kind());
    }

    /// The same for a tag.
    pub fn define_tag(&self, database: &str, table: &str, tag: &str) {
        self.shared.store().define(database, table, tag, lines::Kind::Tag);
    }

    /// What it has been asked and has done so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Every request since the start, where a journal is kept.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.journal().map_or_else(Vec::new, |journal| journal.requests().to_vec())
    }

    /// How many different times were written, where a journal is kept: lines that came twice count once.
    pub fn distinct_times(&self) -> usize {
        self.shared.journal().map_or(0, |journal| journal.distinct())
    }

    /// The columns of a table, time and tags included.
    pub fn columns(&self, database: &str, table: &str) -> Vec<String> {
        self.shared.store().columns(database, table)
    }

    /// The databases that exist.
    pub fn databases(&self) -> Vec<String> {
        self.shared.store().databases()
    }

    /// All points of a database, in no order.
    pub fn points(&self, database: &str) -> Vec<Point> {
        self.shared.store().points(database)
    }

    /// Every line that a database has taken, in order: what was written to the same point twice is here twice.
    pub fn taken(&self, database: &str) -> Vec<Point> {
        self.shared.store().taken(database)
    }

    /// How many points a database holds.
    pub fn point_count(&self, database: &str) -> usize {
        self.shared.store().point_count(database)
    }

    /// How many points all databases hold.
    pub fn total_points(&self) -> usize {
        let store = self.shared.store();
        store.databases().iter().map(|name| store.point_count(name)).sum()
    }
}

impl Drop for InfluxStub {
    fn drop(&mut self) {
        if let Some(Running { handle, .. }) = self.running.take() {
            // The command is sent at once; its thread ends by itself.
            drop(handle.stop(false));
        }
    }
}

/// Locks also after a holder panicked: the test fails anyway then.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

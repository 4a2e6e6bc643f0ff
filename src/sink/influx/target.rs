//! Where points go: a server's databases, or files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::Config;
use super::classify::Outcome;
use super::files::LineFiles;
use super::request::{Endpoint, Server};

/// Where the points of all tenants go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To a server.
    Server(Server),
    /// To files below this directory, each rotated at this size.
    Files(PathBuf, u64),
}

impl Destination {
    /// What the configuration asks for.
    ///
    /// # Errors
    /// A sentence for operators when the server's URL or token can't be used.
    pub fn new(config: &Config) -> Result<Self, String> {
        Ok(match config.url.as_deref().filter(|url| !url.trim().is_empty()) {
            Some(url) => Destination::Server(Server::new(url, config)?),
            None => Destination::Files(config.data_dir.clone(), config.file_rotate_bytes),
        })
    }

    /// One database there. Nothing is touched before the first write.
    pub fn open(&self, database: &str) -> Target {
        match self {
            Destination::Server(server) => Target::Server(server.database(database)),
            Destination::Files(directory, rotate_bytes) => {
                Target::Files(Arc::new(Mutex::new(LineFiles::new(directory, database, *rotate_bytes))))
            }
        }
    }
}

/// Where the points of one tenant go.
#[derive(Clone, Debug)]
pub enum Target {
    /// To its database at a server.
    Server(Endpoint),
    /// To its files.
    Files(Arc<Mutex<LineFiles>>),
}

impl Target {
    /// How many writes may be under way at once, where `wanted` were configured.
    pub fn most_in_flight(&self, wanted: usize) -> usize {
        match self {
            Target::Server(_) => wanted.max(1),
            Target::Files(_) => 1, // they would only wait for each other
        }
    }

    /// Writes `lines` lines, each ended by a line feed. `durably` is for files; a server's answer always means it.
    pub async fn write(self, body: Bytes, lines: usize, durably: bool) -> Outcome {
        match self {
            Target::Server(endpoint) => endpoint.write(body, lines).await,
            Target::Files(files) => blocking(files, move |files| files.append(&body, durably)).await,
        }
    }

    /// Makes durable what is not yet; nothing is written afterwards.
    pub async fn close(self) -> Outcome {
        match self {
            Target::Server(_) => Outcome::Written,
            Target::Files(files) => blocking(files, LineFiles::close).await,
        }
    }
}

/// File systems block: that must not hold up the other tenants of an actor's thread.
async fn blocking(
    files: Arc<Mutex<LineFiles>>,
    work: impl FnOnce(&mut LineFiles) -> std::io::Result<()> + Send + 'static,
) -> Outcome {
    let work = move || {
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut files).map_err(|error| format!("{}: {error}", files.directory().display()))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Outcome::Written,
        Ok(Err(error)) => Outcome::transient(error),
        Err(error) => Outcome::transient(error.to_string()),
    }
}

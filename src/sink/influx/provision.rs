//! Making a tenant's database before its first point comes.

use std::path::Path;

use bytes::Bytes;

use super::Api;
use super::classify::{Outcome, Provisioned, database_made};
use super::request::Server;
use super::target::{Destination, Place};

/// What a server without the configure API is told: a first write makes the database.
const FIRST_LINE: &[u8] = b"_init,source=provisioning value=1i\n";

impl Destination {
    /// Makes sure that a tenant's database exists. Idempotent.
    pub async fn provision(&self, tenant_id: &str) -> Provisioned {
        let database = self.database(tenant_id);
        match &self.place {
            Place::Server(server) if server.api() == Api::V2 => by_first_write(server, &database).await,
            Place::Server(server) => at_server(server, &database).await,
            Place::Files(directory, _) => below(&directory.join(database)),
        }
    }

    /// Whether a tenant's database is there already, without making it; `None` where that can't be asked.
    pub fn has(&self, tenant_id: &str) -> Option<bool> {
        match &self.place {
            Place::Server(_) => None,
            Place::Files(directory, _) => Some(directory.join(self.database(tenant_id)).is_dir()),
        }
    }
}

async fn at_server(server: &Server, database: &str) -> Provisioned {
    match server.create_database(database).await {
        Ok((404 | 405, _)) => by_first_write(server, database).await,
        Ok((status, answer)) => database_made(status, answer.as_bytes()),
        Err(error) => Provisioned::Failed(error),
    }
}

async fn by_first_write(server: &Server, database: &str) -> Provisioned {
    match server.database(database).write(Bytes::from_static(FIRST_LINE), 1).await {
        Outcome::Written => Provisioned::Made,
        Outcome::Refused { .. } => {
            Provisioned::Warned("the server refused the first line; the database is there".into())
        }
        Outcome::Failed { message, .. } | Outcome::Halve { message, .. } => Provisioned::Failed(message),
    }
}

fn below(directory: &Path) -> Provisioned {
    if directory.is_dir() {
        return Provisioned::Exists;
    }
    match std::fs::create_dir_all(directory) {
        Ok(()) => Provisioned::Made,
        Err(error) => Provisioned::Failed(format!("{}: {error}", directory.display())),
    }
}

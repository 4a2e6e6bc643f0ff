//! Making a tenant's database before its first point comes.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::Api;
use super::backend::{Backend, Store};
use super::classify::{FailureKind, Provisioned, WriteOutcome, database_made, is_header_malformed};
use super::request::Server;

/// What a server without the configure API is told: a first write makes the database. It has today's time: written again
/// and again it is one point a day, and no retention refuses it.
fn first_line(now: SystemTime) -> String {
    const DAY_SECS: u64 = 86_400;
    let secs = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("_init,source=provisioning value=1i {}000000000\n", secs - secs % DAY_SECS)
}

impl Backend {
    /// Makes sure that a tenant's database exists. Idempotent.
    pub(crate) async fn provision(&self, tenant_id: &str) -> Provisioned {
        let database = self.database(tenant_id);
        match &self.store {
            Store::Server(server) => at_server(server, &database).await,
            Store::Files(directory, _) => below(&directory.join(database)),
        }
    }

    /// Whether a tenant's database is there already, without making it; `None` where that can't be asked.
    pub(crate) fn has(&self, tenant_id: &str) -> Option<bool> {
        match &self.store {
            Store::Server(_) => None,
            Store::Files(directory, _) => Some(directory.join(self.database(tenant_id)).is_dir()),
        }
    }
}

/// InfluxDB 3 has its configure API whichever API it is written to; what else speaks v2 does not know it, and says so in
/// several ways.
async fn at_server(server: &Server, database: &str) -> Provisioned {
    match server.create_database(database).await {
        Ok((404 | 405, _)) => by_first_write(server, database).await,
        Ok((400, answer)) if server.api() == Api::V2 && !is_header_malformed(answer.as_bytes()) => {
            by_first_write(server, database).await
        }
        Ok((status, answer)) => database_made(status, answer.as_bytes()),
        Err(error) => Provisioned::Failed(error.to_string()),
    }
}

async fn by_first_write(server: &Server, database: &str) -> Provisioned {
    match server.database(database).write(Bytes::from(first_line(SystemTime::now())), 1).await {
        WriteOutcome::Written => Provisioned::Made,
        WriteOutcome::Refused { .. } => {
            Provisioned::Warned("the server refused the first line; the database is there".into())
        }
        WriteOutcome::Failed { kind: FailureKind::CapacityExceeded, message } => Provisioned::NoRoom(message),
        WriteOutcome::Failed { message, .. } | WriteOutcome::Halve { message, .. } => Provisioned::Failed(message),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_line_is_the_same_all_day_long() {
        let at = |secs: u64| first_line(UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(1_795_219_200), "_init,source=provisioning value=1i 1795219200000000000\n");
        assert_eq!(at(1_795_219_200), at(1_795_219_200 + 86_399));
        assert_ne!(at(1_795_219_200), at(1_795_219_200 + 86_400));
    }
}

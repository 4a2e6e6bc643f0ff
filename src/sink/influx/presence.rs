//! Whether one tenant's database is there, without making it.

use super::Api;
use super::backend::{Backend, Store};
use super::check::{Database, LIST, Ping, counted};
use super::request::Server;
use ingest_core::flow::capacity::most_databases;

/// Whether a tenant's database is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is.
    Exists,
    /// It is not, or that can't be asked; there may be room for it.
    Missing,
    /// It is not, and the server holds as many as it can.
    NoRoom,
    /// The server does not answer.
    Away,
}

impl Backend {
    /// Looks for a tenant's database.
    pub(crate) async fn presence(&self, tenant_id: &str) -> Presence {
        match &self.store {
            Store::Files(..) => match self.has(tenant_id) {
                Some(true) => Presence::Exists,
                _ => Presence::Missing,
            },
            Store::Server(server) if server.api() == Api::V2 => Presence::Missing,
            Store::Server(server) => at_v3(server, &self.database(tenant_id)).await,
        }
    }
}

async fn at_v3(server: &Server, database: &str) -> Presence {
    let exist = match server.get(LIST).await {
        Ok((200, answer)) => serde_json::from_str::<Vec<Database>>(&answer).map(counted),
        // A token that may not list them may still make one.
        Ok(_) => return Presence::Missing,
        Err(_) => return Presence::Away,
    };
    let Ok(exist) = exist else { return Presence::Missing };
    if exist.contains(database) {
        return Presence::Exists;
    }
    let most = match server.get("/ping").await {
        Ok((_, answer)) => {
            serde_json::from_str::<Ping>(&answer).ok().and_then(|ping| most_databases(&ping.product_name))
        }
        Err(_) => None,
    };
    if most.is_some_and(|most| exist.len() >= most) { Presence::NoRoom } else { Presence::Missing }
}

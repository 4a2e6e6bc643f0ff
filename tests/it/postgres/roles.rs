//! Roles of a test's own on the shared cluster.

use std::sync::atomic::{AtomicU32, Ordering};

use ingest_kit::Database;

/// A role that may log in, and the database's URL with it.
pub(crate) struct Role {
    pub name: String,
    pub url: String,
}

impl Role {
    /// A role without any rights.
    pub(crate) async fn stranger(database: &Database, label: &str) -> Self {
        Self::create(database, label, "").await
    }

    /// A role with the rights of the tables' owner, but neither a superuser nor beyond row security.
    pub(crate) async fn of_the_owner(database: &Database, label: &str) -> Self {
        Self::create(database, label, "IN ROLE ingest").await
    }

    async fn create(database: &Database, label: &str, options: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("{label}_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        database.execute(&format!("CREATE ROLE {name} LOGIN {options}")).await;
        let url = database.url().replacen("ingest@", &format!("{name}@"), 1);
        Self { name, url }
    }
}

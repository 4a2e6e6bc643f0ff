//! The two roles of the document, under names of a test's own: roles belong to the whole cluster.

use ingest_kit::{Database, Nats, NodeBuilder, Postgres};

use crate::document::block;
use crate::world::{DEADLINE, World, node};

/// A database whose owner is no superuser, and the role that runs.
pub(super) struct Roles {
    pub database: Database,
    owner: String,
    ingest: String,
    gateway: String,
}

impl Roles {
    /// A database that the owner has migrated, with the grants of these blocks.
    pub(super) async fn with(blocks: &[&str]) -> Self {
        let database = Postgres::shared().create_database().await;
        let [owner, ingest, gateway] =
            ["owner", "ingest", "gateway"].map(|role| format!("{role}_of_{}", database.name()));
        let roles = Self { database, owner, ingest, gateway };
        roles.database.execute(&roles.named(&block("rights.md", "postgres roles"))).await;
        let migrate = node().arguments(&["migrate"]).env("DATABASE_URL", roles.url(&roles.owner));
        let migrated = migrate.run_to_end(DEADLINE).await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        for name in blocks {
            roles.grant(name).await;
        }
        roles
    }

    /// The grants of another block.
    pub(super) async fn grant(&self, name: &str) {
        self.as_owner().execute(&self.named(&block("rights.md", name))).await;
    }

    /// A world around the database.
    pub(super) async fn world(&self) -> World {
        World::on(Nats::start(), None, self.database.clone()).await
    }

    /// A node that runs as the role which runs.
    pub(super) fn node(&self, world: &World) -> NodeBuilder {
        world.node().env("DATABASE_URL", self.url(&self.ingest))
    }

    /// The database as its owner sees it.
    pub(super) fn as_owner(&self) -> Database {
        Database::new(self.database.name(), self.url(&self.owner))
    }

    /// The database as the role that runs sees it.
    pub(super) fn as_ingest(&self) -> Database {
        Database::new(self.database.name(), self.url(&self.ingest))
    }

    /// Statements with the names of this test.
    pub(super) fn named(&self, statements: &str) -> String {
        statements
            .replace("iot_owner", &self.owner)
            .replace("iot_ingest", &self.ingest)
            .replace("iot_gateway", &self.gateway)
            .replace("iotcloud", self.database.name())
    }

    /// The URL of the gateway's role, which is made here with its grants.
    pub(super) async fn gateway_url(&self) -> String {
        self.database.execute(&self.named(&block("rights.md", "postgres gateway role"))).await;
        self.grant("postgres gateway").await;
        self.url(&self.gateway)
    }

    fn url(&self, role: &str) -> String {
        self.database.url().replacen("ingest@", &format!("{role}@"), 1)
    }
}

//! A PostgreSQL cluster that demands TLS and a log-in.

use ingest_kit::{Authority, Certified, Database, Finished, NodeBuilder, Postgres, PostgresTls};
use tempfile::TempDir;

use super::file;
use crate::world::{DEADLINE, node};

/// The password of `iot`.
pub(super) const PASSWORD: &str = "hush-hush";

/// A cluster that lets `iot` in over TLS with a password, and `certified` with a certificate.
pub(super) struct Secured {
    pub authority: Authority,
    pub postgres: Option<Postgres>,
    pub port: u16,
    pub dir: TempDir,
}

impl Secured {
    pub(super) fn new(server: impl FnOnce(&Authority) -> Certified) -> Self {
        let (authority, dir) = (Authority::new(), TempDir::new().expect("a directory"));
        let hba = "hostssl all iot 127.0.0.1/32 scram-sha-256\nhostssl all certified 127.0.0.1/32 cert\n\
                   hostnossl all all 127.0.0.1/32 reject";
        let tls = PostgresTls {
            server: server(&authority),
            client_authority: authority.pem().to_owned(),
            hba: hba.to_owned(),
        };
        let postgres = Postgres::builder().tls(tls).start();
        file(dir.path(), "ca.pem", authority.pem());
        authority.client("certified").write(dir.path(), "client");
        Self { authority, port: postgres.port(), postgres: Some(postgres), dir }
    }

    /// A new database, and the roles.
    pub(super) async fn database(&self) -> Database {
        let database = self.postgres.as_ref().expect("a cluster").create_database().await;
        for role in ["iot", "certified"] {
            let role = format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{PASSWORD}'");
            database.execute(&role).await;
        }
        database
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    pub(super) fn url(&self, host: &str, database: &str) -> String {
        format!("postgres://iot:{PASSWORD}@{host}:{}/{database}", self.port)
    }

    /// `migrate` against this host with these settings.
    pub(super) async fn migrate(&self, host: &str, database: &str, settings: &[(&str, &str)]) -> Finished {
        let node = node().arguments(&["migrate"]).env("DATABASE_URL", self.url(host, database));
        let node = settings.iter().fold(node, |node, (name, value)| node.env(name, value));
        self.patient(node).run_to_end(DEADLINE).await
    }

    pub(super) fn patient(&self, node: NodeBuilder) -> NodeBuilder {
        let config = file(self.dir.path(), "patience.toml", "[postgres]\nstart_wait_secs = 3\n");
        node.arguments(&["--config", config.to_str().expect("UTF-8"), "migrate"])
    }
}

//! The recipes of docs/tls.md, as an operator copies them.

use std::path::Path;
use std::process::Command;

use async_nats::ConnectOptions;
use ingest_kit::{Certified, Nats, NodeBuilder, Postgres, PostgresTls};
use tempfile::TempDir;

use super::{fails, last_line};
use crate::document::block;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, migrate, start};

/// Where the document has the node's files.
const FILES: &str = "/run/secrets/ingest-node";

/// The files that the commands of the document make.
fn certificates() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let commands = block("tls.md", "certificates");
    let run = Command::new("sh").args(["-e", "-c", &commands]).current_dir(dir.path()).output();
    let run = run.expect("`openssl` is not installed; run: apt-get install openssl");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    dir
}

/// A node with the settings of a block; `server` is how the document calls the server, `here` where it is.
fn with_settings(node: NodeBuilder, name: &str, dir: &Path, (server, here): (&str, &str)) -> NodeBuilder {
    let settings = block("tls.md", name).replace(FILES, dir.to_str().expect("UTF-8")).replace(server, here);
    settings.lines().fold(node, |node, line| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}"));
        node.env(name, value)
    })
}

async fn works(world: &World, node: NodeBuilder) {
    let load = Workload::good(50);
    load.seed(world).await;
    let node = start(node).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipe_for_nats_works() {
    let dir = certificates();
    let path = |name: &str| dir.path().join(name);
    let config = block("tls.md", "nats server").replace("/etc/nats", dir.path().to_str().expect("UTF-8"));
    let [ca, certificate, key] = ["ca.pem", "iot_ingest.pem", "iot_ingest.key"].map(path);
    let nats = Nats::start_secured(&config, move || {
        ConnectOptions::new().add_root_certificates(ca.clone()).add_client_certificate(certificate.clone(), key.clone())
    });
    let world = World::with_nats(nats).await;
    let here = format!("localhost:{}", world.nats.port());
    works(&world, with_settings(world.node(), "nats node", dir.path(), ("nats:4222", &here))).await;
}

/// A cluster that lets `iot_ingest` in by these lines of pg_hba.conf, and a node with these settings.
async fn recipe_for_postgres_works(hba: &str, settings: &str) {
    let dir = certificates();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("a file of the recipe");
    let tls = PostgresTls {
        server: Certified { certificate: read("postgres.pem"), key: read("postgres.key") },
        client_authority: read("ca.pem"),
        // The database has another name here.
        hba: block("tls.md", hba).replace("iotcloud", "all"),
    };
    let postgres = Postgres::builder().tls(tls).start();
    let database = postgres.create_database().await;
    migrate(&database).await;
    let owner = "CREATE ROLE iot_ingest LOGIN PASSWORD 'change-me-too' IN ROLE ingest";
    database.execute(owner).await;
    let (port, name) = (postgres.port(), database.name().to_owned());
    let world = World::on(Nats::start(), Some(postgres), database).await;
    let here = format!("localhost:{port}/{name}");
    works(&world, with_settings(world.node(), settings, dir.path(), ("postgres:5432/iotcloud", &here))).await;
    let plain = world.node().env("DATABASE_URL", format!("postgres://iot_ingest:change-me-too@{here}"));
    let refused = fails(plain, dir.path()).await;
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert!(last_line(&refused).contains("PG_SSLMODE"), "without TLS nobody gets in: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipes_for_postgresql_work() {
    recipe_for_postgres_works("postgres hba password", "postgres node password").await;
    recipe_for_postgres_works("postgres hba certificate", "postgres node certificate").await;
}

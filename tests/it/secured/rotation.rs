//! Secrets are rotated under load: nothing is lost, nothing restarts, and the node is back by itself.

use ingest_kit::envelope::device;
use ingest_kit::{Authority, InfluxStub, Nats, Node, seed, wait_for};
use tempfile::TempDir;

use super::cluster::{PASSWORD, Secured};
use super::file;
use super::nats::Tls;
use crate::traffic::Traffic;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A server that lets the node in with this password, and the test without.
fn users(password: &str) -> String {
    format!(
        "authorization {{ users = [ {{ user: admin, password: admin }}, {{ user: node, password: \"{password}\" }} ] }}\n\
         no_auth_user: admin\n"
    )
}

fn directory() -> TempDir {
    TempDir::new().expect("a directory")
}

/// Messages of a few devices, and rows of the first of them.
async fn traffic(world: &World) -> Traffic {
    seed::devices(&world.database, &devices()).await;
    let traffic = Traffic::of(world, devices(), 0);
    wait_for("rows", DEADLINE, async || world.database.count("raw_events").await > 40).await;
    traffic
}

fn devices() -> Vec<seed::Device> {
    (0..4).map(|number| device(number, 2)).collect()
}

/// Messages flow on, each of them becomes one row, and no actor has been restarted.
async fn goes_on(world: &World, node: &Node, traffic: Traffic, published_before: u64) {
    let stored = async || world.database.count("raw_events").await;
    let reached = stored().await;
    wait_for("rows after the rotation", DEADLINE, async || stored().await > reached + 40).await;
    wait_for("the node to be ready", DEADLINE, async || node.ready_status().await == Some(200)).await;
    let published = published_before + traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(stored().await, published, "every message once");
    let restarts = node.metrics().await.by_label_of("ingest_actor_restarts_total", &[], "actor");
    assert_eq!(restarts.values().sum::<u64>(), 0, "{restarts:?}");
    assert!(!node.log().contains("hush"), "a secret in the log:\n{}", node.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_password_of_nats_is_read_again() {
    let (mut world, dir) = (World::with_nats(Nats::start_configured(&users("hush-old"))).await, directory());
    world.create_quickly_redelivering_consumers().await;
    let password = file(dir.path(), "password", "hush-old\n");
    let node = world.node().env("NATS_USER", "node").env("NATS_PASSWORD_FILE", password.display());
    let node = start(node).await;
    let published = traffic(&world).await.stop().await;
    // Reloaded (SIGHUP), nats-server 2.9 forgets its JetStream together with the user.
    world.nats.restart_configured(&users("hush-new"));
    wait_for("the node to be refused", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|answer| answer.body.contains("authorization violation"))
    })
    .await;
    let traffic = Traffic::of(&world, devices(), published);
    file(dir.path(), "password", "hush-new\n");
    goes_on(&world, &node, traffic, published).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_password_of_postgresql_is_read_again() {
    let mut secured = Secured::new(|authority| authority.server(&["localhost"]));
    let database = secured.database().await;
    let (ca, dir) = (secured.path("ca.pem"), directory());
    let tls = [("PG_SSLMODE", "verify-full"), ("PG_SSLROOTCERT", ca.as_str())];
    let migrated = secured.migrate("localhost", database.name(), &tls).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let url = secured.url("localhost", database.name());
    let url_file = file(dir.path(), "url", &url);
    let world = World::on(Nats::start(), secured.postgres.take(), database).await;
    let node = world.node().env("DATABASE_URL", "").env("DATABASE_URL_FILE", url_file.display());
    let node = start(tls.iter().fold(node, |node, (name, value)| node.env(name, value))).await;
    let traffic = traffic(&world).await;

    world.database.execute("ALTER ROLE iot PASSWORD 'hush-new'").await;
    world.database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'iot'").await;
    wait_for("the node to be refused", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|answer| answer.body.contains("password authentication failed"))
    })
    .await;
    file(dir.path(), "url", &url.replace(PASSWORD, "hush-new"));
    goes_on(&world, &node, traffic, 0).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_certificates_of_postgresql_count_from_the_next_connection_on() {
    let mut secured = Secured::new(|authority| authority.server(&["localhost"]));
    let database = secured.database().await;
    let ca = secured.path("ca.pem");
    let tls = [("PG_SSLMODE", "verify-full"), ("PG_SSLROOTCERT", ca.as_str())];
    let migrated = secured.migrate("localhost", database.name(), &tls).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let url = secured.url("localhost", database.name());
    let world = World::on(Nats::start(), secured.postgres.take(), database).await;
    let node = world.node().env("DATABASE_URL", url);
    let node = start(tls.iter().fold(node, |node, (name, value)| node.env(name, value))).await;
    let traffic = traffic(&world).await;

    let (successor, postgres) = (Authority::new(), world.postgres.as_ref().expect("a cluster"));
    postgres.install(&successor.server(&["localhost"]));
    postgres.reload();
    wait_for("the server's new certificate", DEADLINE, async || {
        secured.refused("localhost", world.database.name(), &tls).await.stderr.contains("UnknownIssuer")
    })
    .await;
    world.database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'iot'").await;
    wait_for("the node to refuse the server", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|answer| answer.body.contains("PG_SSLROOTCERT"))
    })
    .await;
    file(secured.dir.path(), "ca.pem", successor.pem());
    goes_on(&world, &node, traffic, 0).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_certificates_of_nats_count_from_the_next_connection_on() {
    let tls = Tls::new();
    let mut world = World::with_nats(tls.server(&tls.authority.server(&["localhost", "127.0.0.1"]))).await;
    world.create_quickly_redelivering_consumers().await;
    let url = format!("tls://localhost:{}", world.nats.port());
    let node = start(tls.client(world.node()).env("NATS_URL", url)).await;
    let published = traffic(&world).await.stop().await;

    // Another authority signs for the server and for its clients.
    let successor = Authority::new();
    world.nats.restart_configured(&tls.config(&successor.server(&["localhost", "127.0.0.1"])));
    wait_for("the node to refuse the server", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|answer| answer.body.contains("invalid peer certificate"))
    })
    .await;
    file(tls.dir.path(), "ca.pem", successor.pem());
    successor.client("node").write(tls.dir.path(), "client");
    world.nats.restart_configured(&tls.config(&successor.server(&["localhost", "127.0.0.1"])));
    let world = World { jetstream: world.nats.jetstream().await, ..world };
    let traffic = Traffic::of(&world, devices(), published);
    goes_on(&world, &node, traffic, published).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_of_influxdb_is_read_again_and_every_point_is_written() {
    let world = World::beside(InfluxStub::builder().token("apiv3_hush-old").start()).await;
    let dir = directory();
    let token = file(dir.path(), "token", "apiv3_hush-old");
    let node = world.node().env("INFLUXDB_TOKEN", "").env("INFLUXDB_TOKEN_FILE", token.display());
    let node = start(node).await;
    let traffic = traffic(&world).await;
    world.influx.set_token("apiv3_hush-new");
    node.wait_logged("it does not accept the token", 1).await;
    file(dir.path(), "token", "apiv3_hush-new");
    node.wait_logged("influxdb accepts the token again", 1).await;
    goes_on(&world, &node, traffic, 0).await;
    let rows = world.database.count("raw_events").await;
    wait_for("every point", DEADLINE, async || world.influx.total_points() as u64 == rows).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_secrets_again_and_never_ends_the_process() {
    let (world, dir) = (World::with_nats(Nats::start_configured(&users("hush-old"))).await, directory());
    let password = file(dir.path(), "password", "hush-old");
    let node = world.node().env("NATS_USER", "node").env("NATS_PASSWORD_FILE", password.display());
    let mut node = start(node).await;
    node.sighup();
    node.wait_logged("secrets and log level read again", 1).await;
    file(dir.path(), "password", "hush-new");
    node.sighup();
    node.wait_logged("nats.password", 1).await;
    std::fs::remove_file(&password).expect("a file to remove");
    node.sighup();
    node.wait_logged("secrets can't be read again", 1).await;
    assert!(node.is_running() && node.ready_status().await == Some(200));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_takes_the_level_of_the_log_from_the_file() {
    let (world, dir) = (World::new().await, directory());
    let config = file(dir.path(), "node.toml", "[log]\nlevel = \"error\"\n");
    let arguments = ["--config", config.to_str().expect("UTF-8"), "run"];
    let mut node = start(world.node().arguments(&arguments)).await;
    assert!(!node.log().contains(" INFO "), "{}", node.log());
    file(dir.path(), "node.toml", "[log]\nlevel = \"info\"\n");
    node.sighup();
    node.wait_logged("changed: log.level", 1).await;
    file(dir.path(), "node.toml", "[log]\nlevel = \"loud\"\n");
    node.sighup();
    node.wait_logged("secrets can't be read again", 1).await;
    drain(node).await;
}

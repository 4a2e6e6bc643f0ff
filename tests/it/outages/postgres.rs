//! PostgreSQL is down, frozen, read-only, or has another password.

use ingest_kit::Nats;

use super::outage::{Lag, Moves, Outage, QUIET, Scene, WORKERS};
use crate::consumer::wait_ready_shows;
use crate::secured::cluster::{PASSWORD, Secured};
use crate::world::{DEADLINE, World, drain};

const DOWN: &[&str] = &["postgres"];

async fn on_own_cluster() -> Scene {
    let world = World::with_own_postgres().await;
    let node = world.node();
    Scene::new(world, node).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_down() {
    const OUTAGE: Outage = Outage {
        name: "PostgreSQL is down",
        reasons: &["postgres: error connecting to server: Connection refused"],
        notes: &["app_settings: can't be read: error connecting to server: Connection refused"],
        down: DOWN,
        metrics: &[
            ("ingest_postgres_errors_total", &[("class", "connection")], Moves::Up),
            ("ingest_in_flight", WORKERS, Moves::Is(20.0)),
            ("ingest_postgres_rows_total", &[], Moves::Is(20.0)),
        ],
        stats: &[("/consumers/ingest-workers/in_flight", Moves::Is(20.0))],
        log: "postgresql does not take writes, holding",
        ..QUIET
    };
    let make = async |scene: &mut Scene| scene.world.postgres.as_mut().expect("its own").stop();
    let end = async |scene: &mut Scene| scene.world.postgres.as_mut().expect("its own").start_again();
    on_own_cluster().await.goes_through(&OUTAGE, make, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_frozen() {
    const OUTAGE: Outage = Outage {
        name: "PostgreSQL is frozen",
        reasons: &["postgres: PostgreSQL did not answer in time"],
        notes: &["app_settings: can't be read: PostgreSQL did not answer in time"],
        down: DOWN,
        metrics: &[
            ("ingest_postgres_errors_total", &[("class", "timeout")], Moves::Up),
            ("ingest_in_flight", WORKERS, Moves::Is(20.0)),
        ],
        log: "postgresql does not answer look-ups",
        ..QUIET
    };
    let make = async |scene: &mut Scene| scene.world.postgres.as_ref().expect("its own").pause();
    let end = async |scene: &mut Scene| scene.world.postgres.as_ref().expect("its own").resume();
    on_own_cluster().await.goes_through(&OUTAGE, make, end).await;
}

const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Without a message to write: the node asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_read_only() {
    const OUTAGE: Outage = Outage {
        name: "PostgreSQL is read-only",
        reasons: &["postgres: it takes no writes: default_transaction_read_only is on"],
        down: DOWN,
        lag: Lag::None,
        log: "postgresql is read-only, holding",
        publishes: false,
        ..QUIET
    };
    let make = async |scene: &mut Scene| {
        let database = &scene.world.database;
        let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
        database.execute(&format!("{read_only}; {END_SESSIONS}")).await;
    };
    // Sessions that began meanwhile stay read-only: the node makes others.
    let end = async |scene: &mut Scene| {
        let database = &scene.world.database;
        let undo = format!("ALTER DATABASE {} RESET default_transaction_read_only", database.name());
        database.execute(&format!("BEGIN READ WRITE; {undo}; COMMIT")).await;
    };
    let world = World::new().await;
    let node = world.node();
    Scene::new(world, node).await.goes_through(&OUTAGE, make, end).await;
}

/// After a failover the node is connected to what has become a standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_a_standby() {
    const OUTAGE: Outage = Outage {
        name: "PostgreSQL is a standby",
        reasons: &["postgres: it is a standby and takes no writes until it is promoted", "postgres: "],
        down: DOWN,
        metrics: &[
            ("ingest_postgres_errors_total", &[("class", "read_only")], Moves::Up),
            ("ingest_in_flight", WORKERS, Moves::Is(20.0)),
        ],
        log: "postgresql is read-only, holding",
        ..QUIET
    };
    let make = async |scene: &mut Scene| {
        let cluster = scene.world.postgres.as_mut().expect("its own");
        cluster.stop();
        let signal = cluster.log().with_file_name("data").join("standby.signal");
        std::fs::write(signal, "").expect("a file");
        cluster.start_again();
    };
    let end = async |scene: &mut Scene| scene.world.database.execute("SELECT pg_promote()").await;
    on_own_cluster().await.goes_through(&OUTAGE, make, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_in_an_outage_says_why_it_waits() {
    let mut world = World::with_own_postgres().await;
    world.postgres.as_mut().expect("its own").stop();
    let mut node = world.node().start();
    wait_ready_shows(&node, 503, "postgres: error connecting to server: Connection refused").await;
    world.postgres.as_mut().expect("its own").start_again();
    node.wait_ready(DEADLINE).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_postgresql_is_rotated() {
    const OUTAGE: Outage = Outage {
        name: "the password of PostgreSQL is rotated",
        reasons: &["postgres: ", "password authentication failed"],
        notes: &["app_settings: can't be read: ", "password authentication failed"],
        down: DOWN,
        metrics: &[("ingest_postgres_errors_total", &[("class", "login")], Moves::Up)],
        log: "password authentication failed",
        ..QUIET
    };
    let mut secured = Secured::new(|authority| authority.server(&["localhost"]));
    let (database, ca) = (secured.database().await, secured.path("ca.pem"));
    let tls = [("PG_SSLMODE", "verify-full"), ("PG_SSLROOTCERT", ca.as_str())];
    let migrated = secured.migrate("localhost", database.name(), &tls).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let (url, file) = (secured.url("localhost", database.name()), secured.path("url"));
    std::fs::write(&file, &url).expect("a file");
    let world = World::on(Nats::start(), secured.postgres.take(), database).await;
    let node = world.node().env("DATABASE_URL", "").env("DATABASE_URL_FILE", &file);
    let node = tls.iter().fold(node, |node, (name, value)| node.env(name, value));
    let make = async |scene: &mut Scene| {
        let end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'iot'";
        scene.world.database.execute("ALTER ROLE iot PASSWORD 'hush-new'").await;
        scene.world.database.execute(end_sessions).await;
    };
    let end = async |_: &mut Scene| std::fs::write(&file, url.replace(PASSWORD, "hush-new")).expect("a file");
    Scene::new(world, node).await.goes_through(&OUTAGE, make, end).await;
}

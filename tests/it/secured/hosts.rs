//! Several hosts in the PostgreSQL URL: every connection finds the one that takes writes, and the next one after a failover.

use ingest_kit::{Database, Nats, Postgres, wait_for};

use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, migrate, start};

/// A cluster's database, which has the same name in each.
fn database(cluster: &Postgres) -> Database {
    Database::new("postgres", cluster.url("postgres"))
}

/// Whether a cluster takes writes from new sessions, as a primary does and a standby does not.
async fn takes_writes(cluster: &Postgres, does: bool) {
    let mode = if does { "off" } else { "on" };
    let database = database(cluster);
    // The sessions that change it are not subject to it.
    let client = database.connect().await;
    client.batch_execute("SET default_transaction_read_only = off").await.expect("a setting");
    let alter = format!("ALTER SYSTEM SET default_transaction_read_only = {mode}");
    client.batch_execute(&alter).await.expect("a setting of the server");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    let setting = format!("pg_settings WHERE name = 'default_transaction_read_only' AND setting = '{mode}'");
    wait_for("the setting", DEADLINE, async || database.count(&setting).await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_follow_the_host_that_takes_writes() {
    let (one, other) = (Postgres::start(), Postgres::start());
    for cluster in [&one, &other] {
        migrate(&database(cluster)).await;
    }
    takes_writes(&one, false).await;
    let url = format!(
        "postgres://ingest@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        one.port(),
        other.port()
    );
    let world = World::on(Nats::start(), None, database(&other)).await;
    let load = Workload::good(100);
    load.seed(&world).await;
    let node = start(world.node().env("DATABASE_URL", url)).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    let of_the_node = "pg_stat_activity WHERE application_name = 'ingest-node'";
    // Each connection asks the hosts in turn, and leaves the standby as soon as it has answered.
    wait_for("no connection to the standby", DEADLINE, async || database(&one).count(of_the_node).await == 0).await;

    // A failover: the roles change, and what was connected is not any more.
    takes_writes(&one, true).await;
    let world = World { database: database(&one), ..world };
    load.seed(&world).await;
    takes_writes(&other, false).await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ingest-node'";
    database(&other).connect().await.batch_execute(terminate).await.expect("an end of the node's sessions");
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    load.assert_all_there(&world).await;
    wait_for("LISTEN, outbox and pool at the new primary", DEADLINE, async || {
        database(&one).count(&format!("{of_the_node} AND query LIKE 'LISTEN%' OR query LIKE 'NOTIFY%'")).await > 0
            && database(&other).count(of_the_node).await == 0
    })
    .await;
    wait_for("the node to be ready", DEADLINE, async || node.ready_status().await == Some(200)).await;
    drain(node).await;
}

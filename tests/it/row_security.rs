//! A role that would not see every row: messages wait, and none is refused for it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use ingest_kit::jetstream::create_streams;
use ingest_kit::wait_for;

use crate::postgres::roles::Role;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain};

/// The platform's policies on the tables that the node reads and writes.
async fn secure(world: &World, tables: &[&str]) {
    for table in tables {
        let sql = format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
             CREATE POLICY tenants ON {table} USING (tenant_id = current_setting('app.tenant_id', true))"
        );
        world.database.execute(&sql).await;
    }
}

async fn waits_and_goes_on(tables: &[&str]) {
    let world = World::new().await;
    let load = Workload::good(50);
    load.seed(&world).await;
    let role = Role::of_the_owner(&world.database, "policed").await;
    secure(&world, tables).await;
    create_streams(&world.jetstream).await;
    let node = world.node().env("DATABASE_URL", &role.url).start();
    world.publish(load.messages.clone()).await;
    wait_for("the policy to be the reason", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|ready| ready.status == 503 && ready.body.contains("row-level security"))
    })
    .await;
    assert!(!world.is_settled(LANES[0]).await, "nothing is settled");
    assert_eq!(world.database.count("raw_events").await, 0);
    assert_eq!(world.database.count("quarantine_events").await, 0);

    world.database.execute(&format!("ALTER ROLE {} BYPASSRLS", role.name)).await;
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    assert_eq!(world.database.count("raw_events").await, 50);
    assert_eq!(world.database.count("quarantine_events").await, 0);
    assert_eq!(world.database.count("quarantine_counters_minute").await, 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_behind_policies_holds_messages_instead_of_refusing_them() {
    waits_and_goes_on(&["device_registry"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_behind_policies_are_held_too() {
    waits_and_goes_on(&["raw_events"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_on_the_registry_holds_messages_until_it_is_gone() {
    let world = World::new().await;
    let load = Workload::good(50);
    load.seed(&world).await;
    let mut node = world.start_node().await;
    let session = world.database.connect().await;
    session.batch_execute("BEGIN; LOCK TABLE device_registry, subscriptions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    world.publish(load.messages.clone()).await;
    wait_for("the node to say that it waits", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|ready| ready.status == 503)
    })
    .await;
    assert_eq!(world.database.count("raw_events").await, 0);
    session.batch_execute("COMMIT").await.unwrap();
    world.wait_settled(LANES[0], Duration::from_secs(60)).await;
    assert_eq!(world.database.count("raw_events").await, 50);
    assert_eq!(world.database.count("quarantine_counters_minute").await, 0);
    node.wait_ready(DEADLINE).await;
    drain(node).await;
}

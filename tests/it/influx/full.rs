//! InfluxDB has no room for another database or table: what fits is written, the rest stays owed until there is room.

use ingest_kit::{InfluxStub, Node, wait_for};

use super::expected::Expected;
use super::readings::Readings;
use super::scene::{ALL_WITHIN, said, with_settings};
use crate::consumer::wait_ready_shows;
use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// How often a tenant's requests have failed.
async fn failures(node: &Node, tenant: &str) -> u64 {
    let stats = node.stats().await;
    let tenants = stats["actors"]["influx"]["tenants"].as_array().cloned().unwrap_or_default();
    let of_tenant = tenants.iter().find(|one| one["tenant_id"] == tenant);
    of_tenant.and_then(|one| one["requests_failed"].as_u64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_beyond_the_servers_databases_stay_owed_until_there_is_room_for_them() {
    const FULL: &str = "no room for another database";
    let world = World::beside(InfluxStub::builder().database_limit(2).start()).await;
    let load = Readings::of(4, 1_200);
    load.seed(&world).await;
    let (node, _dir) = with_settings(world.node(), "retry.retry_delay_max_ms = 1000\noutbox.replay_interval_ms = 500");
    let first = start(node.clone()).await;
    // Whoever comes first has a database.
    let (early, late): (Vec<_>, Vec<_>) =
        load.messages.iter().cloned().partition(|m| m.is_of_tenant("tenant-0") || m.is_of_tenant("tenant-1"));
    world.publish(early.clone()).await;
    Expected::of(&early).wait_in(&world.influx, DEADLINE).await;
    world.publish(late.clone()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    for tenant in ["tenant-2", "tenant-3"] {
        wait_for("several attempts", DEADLINE, async || failures(&first, tenant).await >= 4).await;
        assert_eq!(world.owed_lines(tenant).await, 300, "lines of {tenant} on record");
    }
    assert_eq!(
        first.wait_logged(FULL, 2).await,
        2,
        "once for each tenant, however often it is tried:\n{}",
        first.log()
    );
    assert_eq!(first.ready_status().await, Some(200), "it is some tenants' trouble alone");
    // Those that fit are written as ever, and a restart changes nothing.
    drain(first).await;
    let second = start(node).await;
    wait_for("the next node to say so", DEADLINE, async || said(&second, FULL) == 2).await;
    Expected::of(&early).assert_in(&world.influx);
    assert_eq!(world.owed_lines("%").await, 600);

    world.influx.set_database_limit(4);
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert_eq!(world.influx.point_count(&database("tenant-3")), 300);
    assert_eq!(world.database.count("quarantine_events").await, 0, "a full server is no point's fault");
    drain(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_too_many_costs_its_own_lines_their_time_and_no_others() {
    let world = World::new().await;
    world.influx.set_table_limit(1);
    let load = Readings::of(1, 400);
    load.seed(&world).await;
    let (node, _dir) = with_settings(world.node(), "outbox.replay_interval_ms = 500");
    let node = start(node).await;
    // Every tenth is a heartbeat, and comes when the table for telemetry is there.
    let telemetry: Vec<_> = load.messages.iter().take(9).cloned().collect();
    world.publish(telemetry.clone()).await;
    Expected::of(&telemetry).wait_in(&world.influx, DEADLINE).await;
    world.publish(load.messages[9..].to_vec()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("all telemetry", DEADLINE, async || world.influx.point_count(&database("tenant-0")) == 360).await;
    wait_for("it to be said", DEADLINE, async || said(&node, "no room for another table") > 0).await;
    assert!(world.owed_lines("%").await >= 40, "the heartbeats are not on record");
    let sql = "influx_outbox WHERE attempts > 1";
    wait_for("two replays in vain", ALL_WITHIN, async || world.database.count(sql).await > 0).await;
    assert_eq!(node.wait_logged("no room for another table", 1).await, 1, "once, however often it is tried");
    wait_ready_shows(&node, 200, "it has no room for another table").await;

    world.influx.set_table_limit(2);
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(node).await;
}

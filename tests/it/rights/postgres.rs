//! Nodes and commands that run as the role of the document.

use ingest_kit::envelope::{device, outgoing, telemetry};
use ingest_kit::seed::{self, Command, catch_all_route};
use ingest_kit::wait_for;
use serde_json::json;

use super::roles::Roles;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

const PARTITIONS: &str = "pg_inherits WHERE inhparent = 'raw_events'::regclass";

async fn settled(world: &World) {
    for lane in LANES {
        world.wait_settled(lane, DEADLINE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_that_runs_stores_everything_and_makes_partitions() {
    let roles = Roles::with(&["postgres run"]).await;
    let mut world = roles.world().await;
    let load = Workload::with_bad(400, 20);
    load.seed(&world).await;
    seed::routes(&world.database, &[catch_all_route("tenant-0")]).await;
    let mut shadowed = device(0, 1);
    (shadowed.tenant_id, shadowed.device_id) = ("tenant-side".to_owned(), "side".to_owned());
    shadowed.commands.push(Command { command_id: "c-1".to_owned(), command_type: "reboot".to_owned() });
    seed::devices(&world.database, std::slice::from_ref(&shadowed)).await;

    // Points are owed: the outbox is written, claimed and emptied.
    world.influx.stop().await;
    let node = start(roles.node(&world).env("INFLUX_FLUSH_INTERVAL_MS", 20)).await;
    world.publish(load.messages.clone()).await;
    let report = outgoing(&shadowed, "shadow", "shadow/reported", &json!({ "reported": { "a": 1 }, "version": 1 }));
    let ack = outgoing(&shadowed, "commands", "commands/ack", &json!({ "command_id": "c-1", "status": "ok" }));
    world.publish([report, ack]).await;
    settled(&world).await;
    assert!(world.database.count("influx_outbox").await > 0);
    world.influx.start_again();
    load.assert_all_there(&world).await;
    wait_for("nothing to be owed", 2 * DEADLINE, async || world.database.count("influx_outbox").await == 0).await;

    assert!(world.database.count(PARTITIONS).await >= 4, "of today and of three more days");
    let owned = roles
        .named("pg_class WHERE relname LIKE 'raw_events_2%' AND relkind = 'r' AND relowner = 'iot_owner'::regrole");
    assert!(world.database.count(&owned).await >= 4, "they belong to the owner");
    assert_eq!(world.database.count("device_state WHERE reported_version = 1").await, 1);
    assert_eq!(world.database.count("device_commands WHERE acked_at IS NOT NULL").await, 1);
    wait_for("derived state", DEADLINE, async || world.database.count("device_sensors").await > 0).await;

    // What comes a second time goes through a temporary table.
    let stream = world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
    stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    wait_for("duplicates to be suppressed", DEADLINE, async || {
        let suppressed = node.metrics().await.count("ingest_postgres_duplicates_suppressed_total", &[]);
        suppressed == load.good_count() as u64
    })
    .await;

    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_registry_listening", &[]), 1);
    let heard = metrics.count("ingest_registry_invalidations_total", &[]);
    world.database.execute("UPDATE device_registry SET status = 'REVOKED' WHERE device_id = 'side'").await;
    wait_for("the change to be heard of", DEADLINE, async || {
        node.metrics().await.count("ingest_registry_invalidations_total", &[]) > heard
    })
    .await;
    assert!(!node.log().contains("permission denied"), "{}", node.log());
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_work_with_what_is_granted_for_them() {
    let roles = Roles::with(&["postgres run", "postgres commands"]).await;
    let world = roles.world().await;
    let mut suspended = device(0, 1);
    suspended.subscription_status = Some("SUSPENDED".to_owned());
    seed::devices(&world.database, std::slice::from_ref(&suspended)).await;
    let node = start(roles.node(&world)).await;
    world.publish((0..10).map(|seq| telemetry(&suspended, seq))).await;
    settled(&world).await;
    assert_eq!(world.database.count("quarantine_events").await, 10);
    let heard = async || node.metrics().await.count("ingest_registry_invalidations_total", &[]);
    let before = heard().await;
    world.database.execute("UPDATE subscriptions SET status = 'ACTIVE'").await;
    wait_for("the change to be heard of", DEADLINE, async || heard().await > before).await;

    for arguments in [&["quarantine", "replay"][..], &["backfill", "--tenant", "tenant-0", "--from", "2026-01-01"][..]]
    {
        let finished = roles.node(&world).arguments(arguments).run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        settled(&world).await;
    }
    assert_eq!(world.database.count("raw_events").await, 10, "replayed");
    assert_eq!(world.database.count("influx_backfills WHERE finished_at IS NOT NULL").await, 1);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_devices_are_registered_with_what_is_granted_for_it() {
    let roles = Roles::with(&["postgres run", "postgres provisioning"]).await;
    let world = roles.world().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    world.database.execute("UPDATE subscriptions SET device_limit = 10").await;
    let node = start(roles.node(&world).env("AUTO_PROVISION", 1).env("REQUIRE_TOKEN", 0)).await;
    let mut unknown = device(1, 1);
    unknown.tenant_id = device(0, 1).tenant_id;
    world.publish([telemetry(&unknown, 1)]).await;
    settled(&world).await;
    assert_eq!(world.database.count("device_registry").await, 2);
    assert_eq!(world.database.count("raw_events").await, 1);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_provisioned_with_what_is_granted_for_it() {
    let roles = Roles::with(&["postgres run", "postgres admin"]).await;
    let world = roles.world().await;
    let (address, key) = (format!("127.0.0.1:{}", ingest_kit::free_port()), "f00dfeed".repeat(8));
    let node = start(roles.node(&world).env("ADMIN_BIND", &address).env("ADMIN_KEY", &key)).await;
    let header = format!("X-Admin-Key: {key}");
    let ask = async |path: &str, body: serde_json::Value| {
        let answer =
            ingest_kit::post(&address, path, &[&header], body.to_string().as_bytes()).await.expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
        serde_json::from_str::<serde_json::Value>(&answer.body).expect("JSON")
    };
    let device = json!({"tenant_id": "t", "device_id": "d", "site_id": "s"});
    let code = ask("/api/admin/devices", device.clone()).await["activation_code"].clone();
    ask("/api/admin/devices", device.clone()).await;
    let code = match ask("/api/admin/devices", device).await["activation_code"].clone() {
        newer if newer == code => panic!("the same code twice"),
        newer => newer,
    };
    ask("/api/device/activate", json!({"tenant_id": "t", "device_id": "d", "activation_code": code})).await;
    ask("/api/admin/devices/t/d/rotate-token", json!({})).await;
    ask("/api/admin/devices/t/d/revoke", json!({})).await;
    assert_eq!(world.database.count("device_token_history").await, 3);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_the_function_rows_go_into_partitions_of_others() {
    let roles = Roles::with(&["postgres run"]).await;
    let revoke = roles.named("REVOKE EXECUTE ON FUNCTION ingest_make_partitions(date) FROM iot_ingest");
    roles.as_owner().execute(&format!("{revoke}; CREATE TABLE others PARTITION OF raw_events DEFAULT")).await;
    let world = roles.world().await;
    let load = Workload::good(50);
    load.seed(&world).await;
    let node = start(roles.node(&world)).await;
    node.wait_logged("partitions were not made ahead", 1).await;
    world.publish(load.messages.clone()).await;
    // A default partition is no promise of a day of its own: the node asks for one, and stores the rows without.
    settled(&world).await;
    load.assert_all_there(&world).await;
    assert_eq!(world.database.count("others").await, 50);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_that_runs_can_change_no_table_and_delete_no_row() {
    let roles = Roles::with(&["postgres run"]).await;
    let ingest = roles.as_ingest().connect().await;
    for statement in [
        "CREATE TABLE mine (x int)",
        "CREATE TABLE raw_events_20260209 PARTITION OF raw_events FOR VALUES FROM ('2026-02-09') TO ('2026-02-10')",
        "ALTER TABLE raw_events ADD COLUMN x int",
        "DROP TABLE raw_events",
        "DELETE FROM raw_events",
        "DELETE FROM quarantine_events",
        "UPDATE raw_events SET payload = NULL",
        "UPDATE quarantine_events SET payload = NULL",
        "INSERT INTO app_settings (key, value) VALUES ('x', '1')",
        "UPDATE ingest_node.secrets SET secret = ''",
        "INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('t', 'd', 's')",
        "DROP FUNCTION ingest_make_partitions(date)",
        "SELECT ingest_drop_partition('raw_events_20260209')",
    ] {
        let refused = ingest.batch_execute(statement).await.expect_err(statement);
        let code = refused.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
}

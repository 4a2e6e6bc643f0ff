//! Tenants without any registered device share one count and one cap, whatever is wrong with their messages.

use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::wait_for;
use serde_json::{Value, json};

use crate::ledger::assert_balanced;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// What is wrong with a message, by the reason it is refused for.
fn corrupt(device: &Device, reason: &str) -> Outgoing {
    let mut payload = payload(device, 1);
    match reason {
        "PAYLOAD_TOO_LARGE" => payload["metrics"]["filler"] = Value::from("x".repeat(9_000)),
        "INVALID_PAYLOAD" => payload["seq"] = json!("one"),
        "UNSUPPORTED_ENVELOPE_VERSION" => payload["version"] = json!("9"),
        "TENANT_MISMATCH_TOPIC_VS_PAYLOAD" => payload["tenant_id"] = json!("somebody-else"),
        "MISSING_SITE_ID" => payload["site_id"] = Value::Null,
        "UNREGISTERED_DEVICE" => {}
        other => panic!("{other}"),
    }
    outgoing(device, "telemetry", "telemetry", &payload)
}

const REASONS: [&str; 6] = [
    "PAYLOAD_TOO_LARGE",
    "INVALID_PAYLOAD",
    "UNSUPPORTED_ENVELOPE_VERSION",
    "TENANT_MISMATCH_TOPIC_VS_PAYLOAD",
    "MISSING_SITE_ID",
    "UNREGISTERED_DEVICE",
];

async fn counted(world: &World) -> Vec<(String, String, i64)> {
    let sql = "SELECT tenant_id, reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1, 2 ORDER BY 1, 2";
    world.database.query(sql, &[]).await.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn expected(tenant: &str, count: i64) -> Vec<(String, String, i64)> {
    let mut reasons = REASONS;
    reasons.sort_unstable();
    reasons.map(|reason| (tenant.to_owned(), reason.to_owned(), count)).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejections_of_unregistered_tenants_are_counted_for_unknown_whatever_their_reason() {
    let world = World::new().await;
    let known = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&known)).await;
    // A tenant that only pays is a stranger as well.
    let paying = "INSERT INTO subscriptions (subscription_id, tenant_id) VALUES ('sub', 'paying')";
    world.database.execute(paying).await;
    let node = world.start_node().await;
    let strangers: Vec<Device> = ["stranger-1", "stranger-2", "paying"]
        .iter()
        .flat_map(|tenant| (0..2).map(move |number| Device::active(tenant, &format!("d{number}"), "tok-secret-x")))
        .collect();
    // Of the known tenant, but a device that is not registered: the tenant is still told apart.
    let ghost = Device { device_id: "ghost".to_owned(), ..known.clone() };
    let from = |devices: &[Device]| -> Vec<Outgoing> {
        devices.iter().flat_map(|device| REASONS.map(|reason| corrupt(device, reason))).collect()
    };
    world.publish(from(&strangers)).await;
    world.publish(from(&[ghost])).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let all = [expected("tenant-0", 1), expected("unknown", 6)].concat();
    wait_for("the counts", DEADLINE, async || counted(&world).await == all).await;
    // The event keeps the tenant that the message claims.
    assert_eq!(world.database.count("quarantine_events WHERE tenant_id = 'stranger-1'").await, 12);
    assert_balanced(&node.metrics().await);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_does_not_keep_the_device_from_being_provisioned() {
    let world = World::new().await;
    let room = "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('sub', 'roomy', 5)";
    world.database.execute(room).await;
    let node = start(world.node().env("AUTO_PROVISION", 1).env("REQUIRE_TOKEN", 0)).await;
    let device = Device::active("roomy", "new", "tok-secret-x");
    world.publish([corrupt(&device, "MISSING_SITE_ID"), corrupt(&device, "PAYLOAD_TOO_LARGE")]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("device_registry").await, 0, "provisioned for a message that is refused");
    world.publish([corrupt(&device, "MISSING_SITE_ID"), telemetry(&device, 1), telemetry(&device, 2)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 2);
    assert_eq!(world.database.count("device_registry").await, 1);
    drain(node).await;
}

//! What changes in the registry counts at the door at once.

use ingest_kit::seed::{self, Device};
use serde_json::json;

use super::{GatewayBuilder, body, reason, rows, wait_status, world_with};
use crate::world::drain;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_a_rotated_token_and_a_new_device_count_at_once() {
    let device = Device::active("acme", "dev-1", "tok-1");
    let (world, node, gateway) = world_with(std::slice::from_ref(&device)).await;
    let send = async |token: &str| {
        gateway.post("/ingest/v1/tenant/acme/device/dev-1/telemetry", token, &[], body(&device, 1)).await
    };
    assert_eq!(send("tok-1").await.status, 202);
    let hash = seed::token_hash("tok-2");
    world.database.execute(&format!("UPDATE device_registry SET provision_token_hash = '{hash}'")).await;
    let refused = wait_status("the old token to be refused", 401, async || send("tok-1").await).await;
    assert_eq!(reason(&refused).1, json!("TOKEN_INVALID"));
    assert_eq!(send("tok-2").await.status, 202);
    world.database.execute("UPDATE device_registry SET status = 'REVOKED'").await;
    let refused = wait_status("the device to be refused", 403, async || send("tok-2").await).await;
    assert_eq!(reason(&refused).1, json!("DEVICE_REVOKED"));

    let new = Device::active("acme", "new", "tok-new");
    assert_eq!(gateway.send(&new, "telemetry", &body(&new, 1)).await.status, 403);
    seed::devices(&world.database, std::slice::from_ref(&new)).await;
    wait_status("the new device", 202, async || gateway.send(&new, "telemetry", &body(&new, 1)).await).await;
    drain(gateway.node).await;

    // With auto-provisioning the pipeline decides about devices that are not registered.
    world
        .database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, subscription_type, status, device_limit, active_device_count)
             VALUES ('main', 'fresh', 'MAIN', 'ACTIVE', 5, 0)",
        )
        .await;
    let gateway = GatewayBuilder::of(&world).env("AUTO_PROVISION", 1).start().await;
    let fresh = Device::active("fresh", "unknown", "x");
    let answer = gateway.send(&fresh, "telemetry", &body(&fresh, 9)).await;
    assert_eq!((answer.status, &answer.json()["seq"]), (202, &json!(9)), "{}", answer.body);
    let malformed = gateway.send(&fresh, "telemetry", "{}").await;
    assert_eq!(reason(&malformed), (400, json!("MISSING_SITE_ID")));
    rows(&world).await;
    // `run` has it off: it is refused there, and kept.
    assert_eq!(world.database.count("quarantine_events WHERE reason = 'UNREGISTERED_DEVICE'").await, 1);
    drain(gateway.node).await;
    drain(node).await;
}

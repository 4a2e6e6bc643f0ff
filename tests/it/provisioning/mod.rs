//! The admin listener and the provisioning API: devices are registered, activated, revoked and given other tokens over HTTP, and
//! what their messages meet follows.

mod client;
mod databases;
mod devices;
mod documentation;
mod gateway;
mod keys;
mod legacy;
mod outage;
mod races;
mod replicas;

use ingest_kit::envelope::telemetry;
use ingest_kit::seed::Device;
use ingest_kit::{Node, NodeBuilder, free_port, wait_for};
use serde_json::json;

use self::client::{Admin, Answer};
use crate::world::{DEADLINE, LANES, World, start};

/// A key as `openssl rand -hex 32` makes them.
const KEY: &str = "9f2c61b7d05e4a83c1f7e6920ab4d35871c0e9f4b26d8a5370fe41c98b2d6e07";

/// A node with an admin listener, to be started, and its client.
fn with_admin(world: &World) -> (NodeBuilder, Admin) {
    let admin = Admin::at(&format!("127.0.0.1:{}", free_port()), KEY);
    (world.node().env("ADMIN_BIND", &admin.address).env("ADMIN_KEY", KEY), admin)
}

/// A running node with an admin listener, and its client.
async fn start_with_admin(world: &World) -> (Node, Admin) {
    let (node, admin) = with_admin(world);
    (start(node).await, admin)
}

/// Registers a device of this tenant at `site-1`; its activation code.
async fn register(admin: &Admin, tenant_id: &str, device_id: &str) -> String {
    let body = json!({"tenant_id": tenant_id, "device_id": device_id, "site_id": "site-1"});
    let answer = admin.post("/api/admin/devices", &body).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    answer.text("activation_code")
}

/// Activates a device with a code.
async fn activate(admin: &Admin, tenant_id: &str, device_id: &str, code: &str) -> Answer {
    let body = json!({"tenant_id": tenant_id, "device_id": device_id, "activation_code": code});
    admin.without_key().post("/api/device/activate", &body).await
}

/// Registers a device and activates it; its token.
async fn registered(admin: &Admin, tenant_id: &str, device_id: &str) -> Device {
    let code = register(admin, tenant_id, device_id).await;
    let activated = activate(admin, tenant_id, device_id, &code).await;
    assert_eq!(activated.status, 200, "{activated:?}");
    Device::active(tenant_id, device_id, &activated.text("provision_token"))
}

/// Publishes a message of a device, and says why it was rejected; `None` where it was stored.
async fn reason(world: &World, device: &Device, seq: u64) -> Option<String> {
    world.publish([telemetry(device, seq)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let is_stored = format!("raw_events WHERE device_id = '{}' AND seq = {seq}", device.device_id);
    if world.database.count(&is_stored).await > 0 {
        return None;
    }
    let sql = "SELECT reason FROM quarantine_events WHERE device_id = $1 AND (payload->>'seq')::bigint = $2";
    let rows = world.database.query(sql, &[&device.device_id, &(seq as i64)]).await;
    Some(rows.first().expect("a message that was neither stored nor rejected").get(0))
}

/// Publishes messages of a device, from this number on, until they are rejected for this reason, or stored: a change reaches the
/// nodes within a second.
async fn becomes(world: &World, device: &Device, first_seq: u64, expected: Option<&str>) {
    let mut seq = first_seq;
    wait_for(&format!("messages to be {}", expected.unwrap_or("stored")), DEADLINE, async || {
        seq += 1;
        reason(world, device, seq).await.as_deref() == expected
    })
    .await;
}

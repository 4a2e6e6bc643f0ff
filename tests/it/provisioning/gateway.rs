//! Activation at the gateway: a device needs nothing but its code to begin.

use ingest_kit::seed::Device;
use ingest_kit::wait_for;
use serde_json::json;

use super::{activate, register, start_with_admin};
use crate::gateway::GatewayBuilder;
use crate::provisioning::client::Admin;
use crate::world::{DEADLINE, LANES, World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_activates_itself_at_the_gateway_and_its_first_message_is_stored() {
    let world = World::new().await;
    let (node, admin) = start_with_admin(&world).await;
    let gateway = GatewayBuilder::of(&world).start().await;
    let door = Admin::at(&gateway.ingest, "no key is asked for").without_key().with_header("Connection: close");
    let code = register(&admin, "acme", "dev-1").await;
    let wrong = activate(&door, "acme", "dev-1", "not-the-code-that-it-has").await;
    assert_eq!(wrong.status, 400, "{wrong:?}");

    let activated = activate(&door, "acme", "dev-1", &code).await;
    assert_eq!(activated.status, 200, "{activated:?}");
    let device = Device::active("acme", "dev-1", &activated.text("provision_token"));
    assert_eq!(activate(&door, "acme", "dev-1", &code).await.status, 400, "a code works once");
    let sent = gateway.send(&device, "telemetry", r#"{"site_id":"site-1","seq":7,"metrics":{"t":1}}"#).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events WHERE device_id = 'dev-1' AND seq = 7").await, 1);

    // What is revoked at the node is refused at the door, too.
    let revoked = admin.post("/api/admin/devices/acme/dev-1/revoke", &json!({})).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    wait_for("the door to refuse the device", DEADLINE, async || {
        gateway.send(&device, "telemetry", r#"{"site_id":"site-1"}"#).await.status == 403
    })
    .await;

    // Codes can't be guessed here either.
    let mut last = activate(&door, "acme", "dev-1", "a-guess").await;
    for _ in 0..10 {
        last = activate(&door, "acme", "dev-1", "a-guess").await;
    }
    assert_eq!((last.status, last.retry_after.is_some()), (429, true), "{last:?}");
    let behind = door.with_header("Connection: close\r\nX-Forwarded-For: 203.0.113.9");
    assert_eq!(activate(&behind, "acme", "dev-1", "a-guess").await.status, 429, "anybody can say so");
    drain(gateway.node).await;
    // Behind a proxy who guesses locks out nobody else, and nobody by saying that he is another.
    let gateway = GatewayBuilder::of(&world).env("INGEST_TRUSTED_PROXIES", "127.0.0.1").start().await;
    let door = Admin::at(&gateway.ingest, "no key is asked for").without_key();
    let door = door.with_header("Connection: close\r\nX-Forwarded-For: 203.0.113.9");
    for number in 0..11 {
        let status = activate(&door, "acme", "dev-1", "a-guess").await.status;
        assert_eq!(status, if number < 10 { 400 } else { 429 }, "{number}");
    }
    let forged = door.with_header("Connection: close\r\nX-Forwarded-For: 203.0.113.1, 203.0.113.9");
    assert_eq!(activate(&forged, "acme", "dev-1", "a-guess").await.status, 429);
    let another = door.with_header("Connection: close\r\nX-Forwarded-For: 203.0.113.10");
    assert_eq!(activate(&another, "acme", "dev-1", "a-guess").await.status, 400);
    drain(gateway.node).await;
    drain(node).await;
}

//! A request that comes twice, for its answer was lost, is one row.

use ingest_kit::post;
use ingest_kit::seed::{self, Device};

use super::{GatewayBuilder, body, rows};
use crate::world::{World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_before_its_answer_leaves_one_row_after_the_retry() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-1", "tok-1");
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let node = world.start_node().await;
    let mut gateway = GatewayBuilder::of(&world).env("INGEST_FAILPOINTS", "answer=kill@1").start().await;
    let path = "/ingest/v1/tenant/acme/device/dev-1/telemetry";
    let headers = ["X-Provision-Token: tok-1", "Idempotency-Key: 0190-a:b/c"];
    let message = body(&device, 1);
    let lost = post(&gateway.ingest, path, &headers, message.as_bytes()).await;
    assert!(lost.is_err(), "an answer of a gateway that is dead: {lost:?}");
    assert_eq!(gateway.node.wait_exit(crate::world::DEADLINE).await, None, "killed");

    let gateway = GatewayBuilder::of(&world).start().await;
    let again = gateway.post(path, "tok-1", &headers[1..], &message).await;
    assert_eq!((again.status, again.header("Idempotency-Replayed")), (202, Some("true")), "{}", again.body);
    assert_eq!(rows(&world).await, 1);
    // Another key, and another device's same key, are other messages.
    let other = gateway.post(path, "tok-1", &["Idempotency-Key: other"], &message).await;
    assert_eq!((other.status, other.header("Idempotency-Replayed")), (202, None));
    let plain = gateway.post(path, "tok-1", &[], &message).await;
    assert_eq!((plain.status, plain.header("Idempotency-Replayed")), (202, None));
    assert_eq!(rows(&world).await, 3);
    drain(gateway.node).await;
    drain(node).await;
}

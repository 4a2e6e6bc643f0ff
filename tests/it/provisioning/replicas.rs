//! What an administrator changes at one node holds at every node within a second.

use std::time::{Duration, Instant};

use ingest_kit::seed::Device;
use ingest_kit::{Node, wait_for};
use serde_json::json;

use super::{registered, with_admin};
use crate::traffic::Traffic;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A counter of each node.
async fn each(nodes: &[Node; 2], name: &str, labels: &[(&str, &str)]) -> [u64; 2] {
    [nodes[0].metrics().await.count(name, labels), nodes[1].metrics().await.count(name, labels)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_devices_and_rotated_tokens_are_refused_by_both_nodes_within_a_second() {
    let world = World::new().await;
    let ((first, admin), (second, _)) = (with_admin(&world), with_admin(&world));
    let nodes = [start(first).await, start(second).await];
    let mut devices: Vec<Device> = Vec::new();
    for number in 0..10 {
        devices.push(registered(&admin, "acme", &format!("dev-{number}")).await);
    }
    let traffic = Traffic::of(&world, devices, 0);
    wait_for("both nodes to know the devices", DEADLINE, async || {
        each(&nodes, "ingest_events_accepted_total", &[]).await.iter().all(|count| *count > 100)
    })
    .await;

    let told = async || each(&nodes, "ingest_registry_invalidations_total", &[]).await;
    for path in ["acme/dev-3/revoke", "acme/dev-4/rotate-token"] {
        let before = told().await;
        assert_eq!(admin.post(&format!("/api/admin/devices/{path}"), &json!({})).await.status, 200, "{path}");
        wait_for("both nodes to be told", DEADLINE, async || {
            told().await.iter().zip(before).all(|(told, before)| *told > before)
        })
        .await;
    }
    let (answered, answered_at) = (Instant::now(), world.database.query("SELECT clock_timestamp()::text", &[]).await);
    let answered_at: String = answered_at[0].get(0);
    wait_for("the changes to be long in force", DEADLINE, async || answered.elapsed() > Duration::from_secs(2)).await;
    for reason in ["DEVICE_REVOKED", "TOKEN_INVALID"] {
        wait_for("both nodes to refuse", DEADLINE, async || {
            each(&nodes, "ingest_rejections_total", &[("reason", reason)]).await.iter().all(|count| *count > 0)
        })
        .await;
    }
    let published = traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let late = format!(
        "raw_events WHERE device_id IN ('dev-3', 'dev-4') AND received_at > timestamptz '{answered_at}' + interval '1 s'"
    );
    assert_eq!(world.database.count(&late).await, 0, "accepted a second after both were told");
    let stored = world.database.count("raw_events").await;
    let refused: u64 = each(&nodes, "ingest_rejections_total", &[]).await.iter().sum();
    assert_eq!(stored + refused, published);
    for node in nodes {
        drain(node).await;
    }
}

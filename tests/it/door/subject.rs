//! A publisher speaks for the tenants alone whose subjects it may publish to.

use std::collections::BTreeMap;

use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Command, Device, DeviceState};
use serde_json::json;

use super::{count, counted};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A device with a state and a command that others might be after.
fn victim() -> Device {
    Device {
        device_state: Some(DeviceState { reported_state: json!({"fw": "1.0"}), reported_version: 2 }),
        commands: vec![Command { command_id: "c-1".to_owned(), command_type: "reboot".to_owned() }],
        ..device(0, 1)
    }
}

fn under(subject: &str, message: Outgoing) -> Outgoing {
    Outgoing { subject: subject.to_owned(), ..message }
}

/// One message a lane, about the victim.
fn messages(subject_after_lane: &str) -> [Outgoing; 3] {
    let victim = victim();
    let shadow = json!({ "reported": {"fw": "evil"}, "version": 9 });
    let ack = json!({ "command_id": "c-1", "status": "ok" });
    let of = |lane: &str| format!("{lane}.{subject_after_lane}");
    [
        under(&of("telemetry"), telemetry(&victim, 7)),
        under(&of("shadow"), outgoing(&victim, "shadow", "shadow/reported", &shadow)),
        under(&of("commands"), outgoing(&victim, "commands", "commands/ack", &ack)),
    ]
}

async fn settled(world: &World) {
    for lane in LANES {
        world.wait_settled(lane, DEADLINE).await;
    }
}

const CHANGED: &str = "device_state WHERE reported_state @> '{\"fw\": \"evil\"}'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_of_another_subject_changes_nothing_on_any_lane() {
    let world = World::new().await;
    seed::devices(&world.database, &[victim()]).await;
    let node = start(world.node().env("CERT_AUTH_ENABLED", 1)).await;
    let others =
        ["evil", "tenant-0.dev-0001", "tenant-0.dev-0000x", "tenant", "TENANT-0", "%74enant-0", "evil.tenant-0"];
    for subject in others {
        world.publish(messages(subject)).await;
    }
    settled(&world).await;
    let sent = 3 * others.len() as i64;
    assert_eq!(counted(&world.database).await, BTreeMap::from([count("unknown", "SUBJECT_MISMATCH", sent)]));
    assert_eq!(node.metrics().await.count("ingest_rejections_total", &[("reason", "SUBJECT_MISMATCH")]), sent as u64);
    assert_eq!(world.database.count("raw_events").await, 0);
    assert_eq!(world.database.count(CHANGED).await, 0);
    assert_eq!(world.database.count("device_commands WHERE status = 'delivered'").await, 0);

    for subject in ["tenant-0", "tenant-0.dev-0000", "tenant-0.dev-0000.further.tokens"] {
        world.publish(messages(subject)).await;
    }
    settled(&world).await;
    assert_eq!(world.database.count("raw_events").await, 3);
    assert_eq!(world.database.count(CHANGED).await, 1);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_dots_and_blanks_have_their_escaped_subjects() {
    let world = World::new().await;
    let odd = Device::active("acme north.eu", "dev *1>", "tok-odd");
    seed::devices(&world.database, std::slice::from_ref(&odd)).await;
    let node = world.start_node().await;
    let message = || outgoing(&odd, "telemetry", "telemetry", &payload(&odd, 1));
    let right = ["telemetry.acme%20north%2Eeu", "telemetry.acme%20north%2Eeu.dev%20%2A1%3E"];
    let wrong = ["telemetry.acme%20north%2eeu", "telemetry.acme", "telemetry.acme%20north%2Eeu.dev"];
    world.publish(right.iter().chain(&wrong).map(|subject| under(subject, message()))).await;
    settled(&world).await;
    assert_eq!(world.database.count("raw_events").await, right.len() as u64);
    let expected = [count("unknown", "SUBJECT_MISMATCH", wrong.len() as i64)];
    assert_eq!(counted(&world.database).await, BTreeMap::from(expected));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_can_be_switched_off_for_producers_that_cannot() {
    let world = World::new().await;
    seed::devices(&world.database, &[victim()]).await;
    let node = start(world.node().env("NATS_SUBJECT_CHECK", "off")).await;
    world.publish(messages("bridge")).await;
    settled(&world).await;
    assert_eq!(world.database.count("raw_events").await, 1);
    assert_eq!(world.database.count(CHANGED).await, 1);
    assert_eq!(counted(&world.database).await, BTreeMap::new());
    drain(node).await;
}

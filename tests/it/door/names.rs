//! Names of any length.

use std::collections::BTreeMap;

use fastrand::Rng;
use ingest_core::message::names::subject_token;
use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device, Subscription};
use ingest_kit::{InfluxStub, Nats, Postgres, wait_for};
use serde_json::json;

use super::{count, counted};
use crate::world::{DEADLINE, LANES, World, drain, migrate, start};

/// Text that no index compresses: characters of four bytes.
fn noise(random: &mut Rng, characters: usize) -> String {
    (0..characters).filter_map(|_| char::from_u32(random.u32(0x2_0000..0x2_a000))).collect()
}

/// Messages of nobody, on every lane, with one name of the topic far too long.
fn monsters(random: &mut Rng) -> Vec<Outgoing> {
    let mut messages = Vec::new();
    for length in [256, 700, 2_700, 50_000] {
        for (lane, kind) in [("telemetry", "telemetry"), ("shadow", "shadow/reported"), ("commands", "commands/ack")] {
            let long = noise(random, length);
            let (tenant, other) = (Device::active(&long, "d", "x"), Device::active("tenant-0", &long, "x"));
            for device in [tenant, other] {
                let message = outgoing(&device, lane, kind, &payload(&device, 1));
                messages.push(Outgoing { subject: format!("{lane}.tenant-0"), ..message });
            }
            let kind = format!("{long}/{kind}");
            messages.push(outgoing(&device(0, 1), lane, &kind, &payload(&device(0, 1), 1)));
        }
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_any_length_hold_up_nobody() {
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    let node = start(world.node().env("AUTO_PROVISION", 1)).await;
    let monsters = monsters(&mut Rng::with_seed(1));
    let sent = monsters.len();
    world.publish(monsters).await;
    world.publish((0..50).map(|seq| telemetry(&device(0, 1), seq))).await;
    let long_site = json!({ "site_id": "s".repeat(256), "provision_token": "tok-secret-0" });
    world.publish([outgoing(&device(0, 1), "telemetry", "telemetry", &long_site)]).await;
    for lane in LANES {
        world.wait_settled(lane, DEADLINE).await;
    }
    assert_eq!(world.database.count("raw_events").await, 50);
    let expected = [count("unknown", "BAD_TOPIC_FORMAT", sent as i64), count("tenant-0", "INVALID_PAYLOAD", 1)];
    assert_eq!(counted(&world.database).await, BTreeMap::from(expected));
    let bounded = "quarantine_events WHERE reason = 'BAD_TOPIC_FORMAT' AND octet_length(topic) <= 2051
                   AND tenant_id IS NULL AND device_id IS NULL AND msg_type IS NULL";
    assert_eq!(world.database.count(bounded).await, sent as u64);
    assert_eq!(node.metrics().await.count("ingest_actor_restarts_total", &[]), 0, "{}", node.log());
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_names_fit_every_key_of_the_platform() {
    let mut random = Rng::with_seed(2);
    let database = Postgres::shared().create_database().await;
    seed::platform_schema(&database).await;
    migrate(&database).await;
    let nats = Nats::start();
    let jetstream = nats.jetstream().await;
    let world = World { nats, postgres: None, database, influx: InfluxStub::start(), jetstream };
    seed::app_settings(&world.database, &[("MODE", "PROD"), ("MAX_PAYLOAD_BYTES", "100000"), ("RATE_LIMIT_RPS", "0")])
        .await;

    // A topic has 2,048 bytes: one of its names can't be as long as that if the other is.
    let (long, rest) = (noise(&mut random, 255), noise(&mut random, 240));
    let site = noise(&mut random, 255);
    let devices = [(&long, &rest), (&rest, &long)].map(|(tenant, id)| Device {
        site_id: site.clone(),
        subscription_status: None,
        ..Device::active(tenant, id, "tok-long")
    });
    seed::devices(&world.database, &devices).await;
    let tenant = long.clone();
    seed::subscriptions(
        &world.database,
        &[Subscription {
            tenant_id: tenant.clone(),
            subscription_type: "MAIN".to_owned(),
            status: "ACTIVE".to_owned(),
            device_limit: 10,
            active_device_count: 1,
        }],
    )
    .await;
    let node = start(world.node().env("AUTO_PROVISION", 1).env("REQUIRE_TOKEN", 0)).await;
    let on_its_subject = |lane: &str, message: Outgoing| Outgoing {
        subject: format!("{lane}.{}", subject_token(message_tenant(&message)).into_owned()),
        ..message
    };
    let newcomer = Device { site_id: site.clone(), ..Device::active(&tenant, &noise(&mut random, 240), "tok-new") };
    let metrics: serde_json::Map<_, _> = (0..5).map(|_| (noise(&mut random, 128), json!(1.5))).collect();
    let mut messages = Vec::new();
    for device in devices.iter().chain([&newcomer]) {
        let mut good = payload(device, 1);
        good["metrics"] = json!(metrics);
        let mut refused = payload(device, 2);
        refused["site_id"] = json!(noise(&mut random, 255));
        let shadow = json!({ "reported": {}, "version": i64::MAX });
        let ack = json!({ "command_id": noise(&mut random, 255), "status": "ok" });
        messages.extend([
            on_its_subject("telemetry", outgoing(device, "telemetry", "telemetry", &good)),
            on_its_subject("telemetry", outgoing(device, "telemetry", "telemetry", &refused)),
            on_its_subject("commands", outgoing(device, "commands", "commands/ack", &ack)),
            on_its_subject("shadow", outgoing(device, "shadow", "shadow/reported", &shadow)),
        ]);
    }
    // The newcomer's registration comes first.
    let (side, telemetry): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| !message.subject.starts_with("telemetry."));
    world.publish(telemetry).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    world.publish(side).await;
    for lane in LANES {
        world.wait_settled(lane, DEADLINE).await;
    }
    assert_eq!(world.database.count("raw_events").await, 3, "{}", node.log());
    assert_eq!(world.database.count("device_registry").await, 3);
    assert_eq!(world.database.count("quarantine_events WHERE reason = 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD'").await, 3);
    wait_for("the sensors", DEADLINE, async || world.database.count("device_sensors").await == 15).await;
    assert_eq!(node.ready_status().await, Some(200));
    drain(node).await;
}

/// The tenant of a message's topic.
fn message_tenant(message: &Outgoing) -> &str {
    let text = std::str::from_utf8(&message.payload).unwrap_or_default();
    text.split("tenant/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

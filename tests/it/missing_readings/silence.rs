//! Devices that fall silent and come back: each told once, and nobody for an outage on this side.

use std::collections::BTreeSet;

use async_nats::jetstream::stream::Config;
use ingest_kit::seed::{self, Device};
use ingest_kit::{envelope, wait_for, wait_for_value};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{alerts, kinds_of, quickly, readings, record};
use crate::consumer::wait_ready_shows;
use crate::world::{DEADLINE, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_tell_once_of_each_device_that_falls_silent_and_that_comes_back() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..4).map(|number| envelope::device(number, 2)).collect();
    // Only after it was heard.
    let revoked = Device::active("tenant-0", "revoked", "tok-revoked");
    let new = envelope::device(9, 2);
    let loud: Vec<Device> =
        (0..40).map(|number| Device::active("loud", &format!("dev-{number:04}"), "tok-loud")).collect();
    let all: Vec<Device> = devices.iter().chain([&revoked, &new]).chain(&loud).cloned().collect();
    seed::devices(&world.database, &all).await;
    let settings = quickly("min_secs = 2\nalerts_per_minute = 5");
    let nodes = [start(settings.node(&world)).await, start(settings.node(&world)).await];

    // Nobody knows how often a device sends that has hardly sent yet.
    world.publish(readings(&new, 1..=3)).await;
    world.publish(readings(&revoked, 1..=10)).await;
    wait_for("the revoked device to be heard", DEADLINE, async || {
        record(&world, &revoked).await.is_some_and(|(numbers, _)| numbers[0] == 10)
    })
    .await;
    world.database.execute("UPDATE device_registry SET status = 'REVOKED' WHERE device_id = 'revoked'").await;
    for device in devices.iter().chain(&loud) {
        world.publish(readings(device, 1..=40)).await;
    }
    let told = wait_for_value("an alert of each", 2 * DEADLINE, async || {
        let told = alerts(&world).await;
        devices.iter().all(|device| !kinds_of(&told, device).is_empty()).then_some(told)
    })
    .await;
    for device in &devices {
        assert_eq!(kinds_of(&told, device), ["device_silent"]);
    }
    let of_first =
        |kind: &str| told.iter().find(|alert| alert["type"] == kind && alert["device_id"] == *devices[0].device_id);
    let silent = of_first("device_silent").unwrap();
    let [last, since] = ["last_received_at", "silent_since"].map(|member| moment(&silent[member]));
    assert!(since - last >= Duration::seconds(2), "{silent}");
    assert_eq!((&silent["site_id"], silent["usual_interval_ms"].is_number()), (&"site-1".into(), true));

    // It comes back, and falls silent again.
    world.publish(readings(&devices[0], [41])).await;
    let told = wait_for_value("the return, and the silence after it", 2 * DEADLINE, async || {
        let told = alerts(&world).await;
        (kinds_of(&told, &devices[0]).len() == 3).then_some(told)
    })
    .await;
    assert_eq!(kinds_of(&told, &devices[0]), ["device_silent", "device_returned", "device_silent"]);
    // A tenant with many is told of them all, by a few alerts and one for the others.
    let of_loud = |alert: &&serde_json::Value| alert["tenant_id"] == "loud";
    let (single, many): (Vec<_>, Vec<_>) =
        told.iter().filter(of_loud).partition(|alert| alert["type"] == "device_silent");
    let counted: u64 = many.iter().filter_map(|alert| alert["devices"].as_u64()).sum();
    assert!(!many.is_empty() && counted + single.len() as u64 <= 40, "{told:?}");
    let distinct: BTreeSet<&str> = single.iter().filter_map(|alert| alert["device_id"].as_str()).collect();
    assert_eq!(distinct.len(), single.len());

    // One replica counts them.
    let silent = wait_for_value("the count", DEADLINE, async || {
        let mut silent = 0;
        for node in &nodes {
            silent += node.metrics().await.count("ingest_devices_silent", &[]);
        }
        (silent == 44).then_some(silent)
    })
    .await;
    assert_eq!(silent, world.database.count("device_state WHERE silent_since IS NOT NULL").await);
    let mut published = 0;
    for node in &nodes {
        published += node.metrics().await.count("ingest_device_alerts_total", &[]);
    }
    let [one, other] = nodes;
    drain(one).await;
    drain(other).await;
    let told = alerts(&world).await;
    assert!(told.len() as u64 >= published, "{} {published}", told.len());
    assert!([&revoked, &new].iter().all(|device| kinds_of(&told, device).is_empty()), "{told:?}");
    for device in &devices[1..] {
        assert_eq!(kinds_of(&told, device), ["device_silent"]);
    }
    assert_eq!(world.database.count("ingest_state_writers").await + world.database.count("ingest_leases").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_is_no_silence_of_the_devices() {
    let mut world = World::with_own_postgres().await;
    let device = envelope::device(1, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let settings = quickly("min_secs = 5");
    let node = start(settings.node(&world)).await;
    world.publish(readings(&device, 1..=10)).await;
    wait_for("the device to be heard", DEADLINE, async || {
        record(&world, &device).await.is_some_and(|(numbers, _)| numbers[0] == 10)
    })
    .await;
    world.postgres.as_mut().unwrap().stop();
    let away = OffsetDateTime::now_utc();
    wait_for("an outage that is longer than silence", DEADLINE, async || {
        OffsetDateTime::now_utc() - away > Duration::seconds(6)
    })
    .await;
    world.publish(readings(&device, [11])).await;
    let heard = OffsetDateTime::now_utc() - Duration::seconds(2);
    world.postgres.as_mut().unwrap().start_again();
    let told = wait_for_value("its silence after the outage", 2 * DEADLINE, async || {
        Some(alerts(&world).await).filter(|told| !told.is_empty())
    })
    .await;
    // Of its last message, and not of those before the outage.
    assert_eq!(kinds_of(&told, &device), ["device_silent"]);
    assert!(moment(&told[0]["last_received_at"]) > heard, "{told:?}");
    assert_eq!(record(&world, &device).await, Some(([11, 0, 0, 0, 0], vec![])));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_nats_is_no_silence_and_what_could_not_be_published_comes_once_after_it() {
    let mut world = World::new().await;
    let [silent, heard] = [envelope::device(1, 1), envelope::device(2, 1)];
    seed::devices(&world.database, &[silent.clone(), heard.clone()]).await;
    // No alert finds room in it.
    let mut stream = Config {
        name: "ALERTS".to_owned(),
        subjects: vec!["alerts.>".to_owned()],
        max_message_size: 1,
        ..Config::default()
    };
    world.jetstream.create_stream(stream.clone()).await.unwrap();
    let settings = quickly("min_secs = 3");
    let node = start(settings.node(&world)).await;
    world.publish(readings(&silent, 1..=10)).await;
    let marked = "device_state WHERE silent_since IS NOT NULL AND NOT silence_alerted";
    wait_for("its silence", DEADLINE, async || world.database.count(marked).await == 1).await;
    wait_ready_shows(&node, 200, "alerts: not taken").await;
    let unpublished = async || node.metrics().await.get("ingest_device_alerts_unpublished", &[]);
    assert_eq!(unpublished().await, Some(1.0));
    world.publish(readings(&heard, 1..=10)).await;
    wait_for("the other device to be heard", DEADLINE, async || {
        record(&world, &heard).await.is_some_and(|(numbers, _)| numbers[0] == 10)
    })
    .await;

    world.nats.stop();
    let away = OffsetDateTime::now_utc();
    let looks = async || node.stats().await["actors"]["silence-watcher"]["looks"].as_bool();
    wait_for("the node to be blind", DEADLINE, async || looks().await == Some(false)).await;
    wait_for("an outage that is longer than silence", DEADLINE, async || {
        OffsetDateTime::now_utc() - away > Duration::seconds(6)
    })
    .await;
    assert_eq!(world.database.count(marked).await, 1, "nobody else");
    let back = OffsetDateTime::now_utc();
    world.nats.start_again();
    stream.max_message_size = -1;
    world.jetstream.update_stream(stream).await.unwrap();
    // By now the device has been away for too long, had it been able to send.
    wait_for("the first look after it", DEADLINE, async || looks().await == Some(true)).await;
    world.publish(readings(&heard, [11])).await;

    let told = wait_for_value("an alert of each", 2 * DEADLINE, async || {
        let told = alerts(&world).await;
        [&silent, &heard].iter().all(|device| !kinds_of(&told, device).is_empty()).then_some(told)
    })
    .await;
    let of = |device: &Device| told.iter().find(|alert| alert["device_id"] == *device.device_id).unwrap();
    assert!(moment(&of(&silent)["silent_since"]) < away, "{told:?}");
    // Of its message after the outage, and not of those before.
    assert!(moment(&of(&heard)["last_received_at"]) >= back, "{told:?}");
    wait_for("no remark to be left", DEADLINE, async || {
        node.get("/ready").await.is_some_and(|answer| !answer.body.contains("alerts"))
    })
    .await;
    wait_for("no alert to be left", DEADLINE, async || unpublished().await == Some(0.0)).await;
    drain(node).await;
    let told = alerts(&world).await;
    assert_eq!([&silent, &heard].map(|device| kinds_of(&told, device)), [["device_silent"], ["device_silent"]]);
}

fn moment(value: &serde_json::Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}

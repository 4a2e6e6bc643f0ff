//! nats-server is killed while devices publish, and InfluxDB is away meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ingest_kit::envelope::{device, payload};
use ingest_kit::{MqttDevice, seed, wait_for};

use super::{LANE, message, mqtt_world, publish, wait_settled};
use crate::consumer::Configured;
use crate::workload::database;
use crate::world::{DEADLINE, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_had_acknowledged_to_devices_has_one_row_and_one_point_each() {
    let (mut world, port) = mqtt_world().await;
    let one = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&one)).await;
    let settings = Configured::with("[nats]\nack_wait_secs = 3\n");
    world.influx.stop().await;
    publish(port, []);
    let node = start(settings.node(&world).env("NATS_MQTT", 1)).await;

    let (acknowledged, progress) = (Arc::<Mutex<BTreeSet<i64>>>::default(), Arc::<AtomicU64>::default());
    for (from, until_killed) in [(0, true), (1_000_000, false)] {
        let (acknowledged, counted, one) = (acknowledged.clone(), progress.clone(), one.clone());
        let count = if until_killed { 200_000 } else { 500 };
        let sending = tokio::task::spawn_blocking(move || {
            let mut device = MqttDevice::connect(port, "device", None).expect("a connection");
            let messages = (from..from + count).map(|seq| message(&one, "telemetry", &payload(&one, seq)));
            device.publish(messages, |number| {
                acknowledged.lock().expect("no panic").insert(from as i64 + number as i64);
                counted.fetch_add(1, Ordering::Relaxed);
            })
        });
        if until_killed {
            wait_for("some acknowledgements", DEADLINE, async || progress.load(Ordering::Relaxed) > 500).await;
            world.nats.kill();
            assert!(sending.await.expect("no panic").is_err(), "the server died while it was published to");
            world.nats.start_again();
            wait_for("MQTT", DEADLINE, async || MqttDevice::connect(port, "probe", None).is_ok()).await;
        } else {
            sending.await.expect("no panic").expect("acknowledgements");
        }
    }
    world.jetstream = world.nats.jetstream().await;
    wait_settled(&world).await;

    let rows = world.database.query("SELECT seq FROM raw_events WHERE stream = $1", &[&LANE.0]).await;
    let stored: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored.len(), rows.len(), "a message has two rows");
    let acknowledged = acknowledged.lock().expect("no panic").clone();
    assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored).collect::<Vec<_>>());

    // Rows of this stream are found again where points are owed.
    world.influx.start_again();
    let all = async || world.influx.point_count(&database("tenant-0")) == stored.len();
    wait_for("a point for every row", 3 * DEADLINE, all).await;
    drain(node).await;
}

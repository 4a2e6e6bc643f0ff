//! The node is killed while devices publish by nats-server's MQTT.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ingest_kit::envelope::{device, payload};
use ingest_kit::jetstream::consumer_info;
use ingest_kit::{MqttDevice, seed, wait_for};

use super::{LANE, message, mqtt_world, publish};
use crate::consumer::Configured;
use crate::soak;
use crate::world::{drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_twenty_times_loses_and_doubles_no_message_of_its_servers_mqtt() {
    let messages = soak::messages();
    let (world, port) = mqtt_world().await;
    let devices: Vec<_> = (0..10).map(|number| device(number, 2)).collect();
    seed::devices(&world.database, &devices).await;
    publish(port, []);
    // No points: they have tests of their own.
    let settings = Configured::with("[nats]\nack_wait_secs = 3\n");
    let node = || settings.node(&world).env("NATS_MQTT", 1).env("INFLUXDB_WRITE_ENABLED", 0);
    let mut running = start(node()).await;

    let acknowledged = Arc::<AtomicU64>::default();
    let sending = tokio::task::spawn_blocking({
        let acknowledged = acknowledged.clone();
        move || {
            let mut client = MqttDevice::connect(port, "device", None).expect("a connection");
            let of = |seq: u64| &devices[seq as usize % devices.len()];
            let all = (0..messages).map(|seq| message(of(seq), "telemetry", &payload(of(seq), seq)));
            client.publish(all, |_| {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            })
        }
    });
    let rows = async || world.database.count("raw_events").await;
    for kill in 1..=soak::KILLS {
        let reached = kill * messages / (soak::KILLS + 1);
        wait_for(&format!("{reached} rows"), soak::deadline(), async || rows().await >= reached).await;
        running.sigkill();
        running = node().start();
    }
    sending.await.expect("no panic").expect("acknowledgements");
    assert_eq!(acknowledged.load(Ordering::Relaxed), messages);
    wait_for("every row", soak::deadline(), async || rows().await >= messages).await;
    wait_for("every message to be settled", soak::deadline(), async || {
        let info = consumer_info(&world.jetstream, LANE.0, LANE.1).await;
        info.is_some_and(|info| info.num_pending == 0 && info.num_ack_pending == 0)
    })
    .await;
    let different = "(SELECT DISTINCT tenant_id, device_id, seq FROM raw_events) AS messages";
    assert_eq!((rows().await, world.database.count(different).await), (messages, messages), "rows, different messages");
    assert_eq!(world.database.count("quarantine_events").await, 0);
    running.wait_ready(soak::deadline()).await;
    drain(running).await;
}

//! A broker that passes topics on which are no UTF-8, as some do; Mosquitto refuses them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use ingest_kit::envelope::{device, payload};

use super::Bridge;
use super::late_answer::packet;
use crate::world::{drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_no_utf_8_ends_no_session() {
    let bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let broker = thread::spawn(move || serve(listener.accept().expect("the gateway").0));
    let gateway = start(bridge.gateway().env("MQTT_PORT", port)).await;
    // Whatever the last level of a topic is, the message is telemetry.
    bridge.assert_stored_once(2).await;
    let reasons = "SELECT reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1 ORDER BY 1";
    let rows = bridge.world.database.query(reasons, &[]).await;
    let rejected: i64 = rows.iter().map(|row| row.get::<_, i64>(1)).sum();
    assert_eq!(rejected, 1, "{rows:?}");
    assert!(!gateway.log().contains("mqtt connection ended"), "{}", gateway.log());
    drain(gateway).await;
    broker.join().expect("the broker");
    drain(node).await;
}

/// Sends two strange topics and a good one, each when the one before is acknowledged.
fn serve(mut connection: TcpStream) {
    assert_eq!(packet(&mut connection).0, 0x10, "CONNECT");
    connection.write_all(&[0x20, 2, 0, 0]).expect("CONNACK");
    let (kind, subscription) = packet(&mut connection);
    assert_eq!(kind, 0x82, "SUBSCRIBE");
    connection.write_all(&[0x90, 3, subscription[0], subscription[1], 1]).expect("SUBACK");
    let device = device(0, 2);
    let good = format!("tenant/{}/device/{}/telemetry", device.tenant_id, device.device_id);
    let topics = [&b"tenant/tenant-0/device/dev-0000/\xff"[..], b"\xc3(", good.as_bytes()];
    for (id, topic) in (1_u8..).zip(topics) {
        let text = payload(&device, id.into()).to_string();
        let topic_length = u16::try_from(topic.len()).expect("short").to_be_bytes();
        let body = [&topic_length[..], topic, &[0, id], text.as_bytes()].concat();
        let length = [body.len() as u8 & 0x7F | 0x80, (body.len() >> 7) as u8];
        connection.write_all(&[&[0x32][..], &length, &body].concat()).expect("PUBLISH");
        assert_eq!(packet(&mut connection), (0x40, vec![0, id]), "PUBACK");
    }
    // Until the gateway leaves.
    let _ = connection.read_to_end(&mut Vec::new());
}

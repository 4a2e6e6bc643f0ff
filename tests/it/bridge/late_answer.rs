//! A broker that answers the subscription after the messages that it owes the session, as MQTT permits.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use ingest_kit::envelope::{device, payload};

use super::Bridge;
use crate::world::{drain, start};

/// Messages before the answer, one a second: the gateway gives up on a silent broker after ten seconds.
const OWED: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_is_owed_is_taken_before_the_subscription_is_answered() {
    let bridge = Bridge::new().await;
    let node = bridge.world.start_node().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (permit, permitted) = channel();
    let broker = thread::spawn(move || serve(listener.accept().expect("the gateway").0, &permitted));
    let gateway = start(bridge.gateway().env("MQTT_PORT", port)).await;
    assert_eq!(gateway.metrics().await.count("ingest_gateway_mqtt_connected", &[]), 1, "{}", gateway.log());
    assert!(!gateway.log().contains("mqtt subscribed"), "{}", gateway.log());
    permit.send(()).expect("the broker");
    gateway.wait_logged("mqtt subscribed", 1).await;
    assert!(!gateway.log().contains("mqtt connection ended"), "{}", gateway.log());
    drain(gateway).await;
    bridge.assert_stored_once(broker.join().expect("the broker")).await;
    drain(node).await;
}

/// Answers the subscription when that is permitted, and not before everything that is owed is acknowledged; returns how many
/// messages there were.
fn serve(mut connection: TcpStream, permitted: &Receiver<()>) -> u64 {
    assert_eq!(packet(&mut connection).0, 0x10, "CONNECT");
    connection.write_all(&[0x20, 2, 1, 0]).expect("CONNACK: the session is known");
    let (kind, subscription) = packet(&mut connection);
    assert_eq!(kind, 0x82, "SUBSCRIBE");
    let mut count = 0;
    loop {
        let device = device(0, 2);
        let topic = format!("tenant/{}/device/{}/telemetry", device.tenant_id, device.device_id);
        let text = payload(&device, count).to_string();
        count += 1;
        let id = u16::try_from(count).expect("few").to_be_bytes();
        let topic_length = u16::try_from(topic.len()).expect("short").to_be_bytes();
        let body = [&topic_length[..], topic.as_bytes(), &id, text.as_bytes()].concat();
        let length = [body.len() as u8 & 0x7F | 0x80, (body.len() >> 7) as u8];
        connection.write_all(&[&[0x32][..], &length, &body].concat()).expect("PUBLISH");
        assert_eq!(packet(&mut connection), (0x40, id.to_vec()), "PUBACK");
        if count >= OWED && permitted.try_recv().is_ok() {
            break;
        }
        thread::sleep(Duration::from_secs(1)); // it is this slow
    }
    connection.write_all(&[0x90, 3, subscription[0], subscription[1], 1]).expect("SUBACK");
    // Until the gateway leaves.
    let _ = connection.read_to_end(&mut Vec::new());
    count
}

/// The next packet's first byte and its body, which is short.
pub(super) fn packet(connection: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    connection.read_exact(&mut head).expect("a packet");
    let mut body = vec![0; usize::from(head[1])];
    connection.read_exact(&mut body).expect("its body");
    (head[0], body)
}

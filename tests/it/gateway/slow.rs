//! Clients that send byte by byte, or nothing.

use ingest_kit::seed::Device;
use ingest_kit::{seed, wait_for};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{GatewayBuilder, body, reason};
use crate::world::{DEADLINE, World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_closed_and_hold_up_neither_probes_nor_others() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-1", "tok-1");
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    ingest_kit::jetstream::create_streams(&world.jetstream).await;
    let settings =
        "[gateway_http]\nconnections = 40\nkeep_alive_secs = 1\nhead_timeout_secs = 3\nbody_timeout_secs = 3\n";
    let (gateway, _dir) = GatewayBuilder::of(&world).settings(settings);
    let gateway = gateway.start().await;
    let head = "POST /ingest/v1/tenant/acme/device/dev-1/telemetry HTTP/1.1\r\nHost: g\r\nContent-Length: 50\r\n\r\n{";
    let mut slow = Vec::new();
    for number in 0..60 {
        let mut socket = TcpStream::connect(&gateway.ingest).await.expect("a connection");
        // Half a head, half a body, or nothing at all.
        let sent = match number % 3 {
            0 => &head[..30],
            1 => head,
            _ => "",
        };
        // More than may be open: some are closed meanwhile.
        let _ = socket.write_all(sent.as_bytes()).await;
        slow.push(socket);
    }
    assert_eq!(gateway.node.ready_status().await, Some(200));
    let answer = gateway.send(&device, "telemetry", &body(&device, 1)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    for mut socket in slow {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "a slow client is still connected");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    wait_for("no connection", DEADLINE, async || {
        gateway.node.metrics().await.count("ingest_gateway_http_connections", &[]) == 0
    })
    .await;

    // A second head that does not end: the server itself bounds the first one only.
    let mut socket = TcpStream::connect(&gateway.ingest).await.expect("a connection");
    socket.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: g\r\n\r\nGET /").await.expect("sent");
    let ended = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "a half second head holds its connection");
    drain(gateway.node).await;

    let settings = "[gateway_http]\naddress_rps = 1\naddress_burst = 3\n";
    let (gateway, _dir) = GatewayBuilder::of(&world).settings(settings);
    let gateway = gateway.start().await;
    // What a client says of itself makes it no other.
    let path = "/ingest/v1/tenant/acme/device/dev-1/telemetry";
    let number = std::cell::Cell::new(0);
    let limited = super::wait_status("429", 429, async || {
        number.set(number.get() + 1);
        gateway.post(path, "tok-1", &[&format!("X-Forwarded-For: 203.0.113.{}", number.get() % 250)], "{}").await
    })
    .await;
    assert_eq!(reason(&limited).1, json!("ADDRESS_RATE_LIMITED"));
    assert_eq!(limited.header("Retry-After"), Some("1"));
    drain(gateway.node).await;

    // What a proxy says that is trusted is believed.
    let (gateway, _dir) = GatewayBuilder::of(&world).settings(settings);
    let gateway = gateway.env("INGEST_TRUSTED_PROXIES", "192.0.2.0/24,127.0.0.1").start().await;
    let of = async |forwarded: &str| {
        gateway.post(path, "tok-1", &[&format!("X-Forwarded-For: {forwarded}")], body(&device, 1)).await
    };
    super::wait_status("429", 429, async || of("10.1.1.1, 203.0.113.7, 192.0.2.9").await).await;
    assert_eq!(of("203.0.113.7, 203.0.113.8").await.status, 202, "another client");
    assert_eq!(gateway.node.ready_status().await, Some(200));
    drain(gateway.node).await;
}

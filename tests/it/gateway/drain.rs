//! The end of a gateway: what has come is answered, and nothing more is taken.

use std::time::Duration;

use ingest_kit::seed::Device;
use ingest_kit::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{GatewayBuilder, body, rows, world_with};
use crate::world::{DEADLINE, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_has_come_is_answered_and_no_other_is_taken() {
    let device = Device::active("acme", "dev-1", "tok-1");
    let (world, node, mut gateway) = world_with(std::slice::from_ref(&device)).await;
    let body = body(&device, 1);
    let head = format!(
        "POST /ingest/v1/tenant/acme/device/dev-1/telemetry HTTP/1.1\r\nHost: g\r\nX-Provision-Token: tok-1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut idle = TcpStream::connect(&gateway.ingest).await.expect("a connection");
    let mut socket = TcpStream::connect(&gateway.ingest).await.expect("a connection");
    let (first, rest) = body.split_at(10);
    socket.write_all(format!("{head}{first}").as_bytes()).await.expect("sent");
    let open = async || gateway.node.metrics().await.count("ingest_gateway_http_connections", &[]) >= 2;
    wait_for("both connections", DEADLINE, open).await;
    let second = GatewayBuilder::of(&world).env("INGEST_HTTP_BIND", &gateway.ingest).run_to_end().await;
    assert_eq!(second.code, Some(64), "{second:?}");
    assert!(second.stderr.contains("INGEST_HTTP_BIND"), "{second:?}");
    gateway.node.sigterm();
    wait_for("/ready to answer 503", DEADLINE, async || gateway.node.ready_status().await == Some(503)).await;
    wait_for("the listener to be closed", DEADLINE, async || TcpStream::connect(&gateway.ingest).await.is_err()).await;
    socket.write_all(rest.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), socket.read_to_string(&mut answer))
        .await
        .expect("an end")
        .expect("text");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(gateway.node.wait_exit(DEADLINE).await, Some(0));
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    assert_eq!(rows(&world).await, 1);
    drain(node).await;
}

//! Requests to the gateway, written by hand on keep-alive connections: a client that costs less than what it measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ingest_kit::Node;
use ingest_kit::envelope::payload;
use ingest_kit::seed::Device;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::servers::{Servers, cpu, peak_mib};
use crate::{DEADLINE, percentile, setting};

const WARM_UP: Duration = Duration::from_secs(2);
const STREAM: &str = "TELEMETRY";

/// As many requests as the gateway answers, each of `batch` messages.
pub(crate) async fn saturated(servers: &Servers, batch: usize) -> String {
    servers.empty(STREAM).await;
    let (gateway, address) = servers.gateway();
    let mut gateway = gateway.start();
    gateway.wait_ready(DEADLINE).await;
    let answered = Arc::new(AtomicU64::new(0));
    let (stop, stopped) = watch::channel(false);
    let connections = setting("WAYS_CONNECTIONS", 32_usize);
    let connections = if batch > 1 { connections.div_ceil(10) } else { connections };
    let clients: Vec<_> = (0..connections)
        .map(|number| {
            let requests = requests(servers, batch, number, connections);
            tokio::spawn(send(address.clone(), requests, answered.clone(), stopped.clone()))
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let (before, used, start) = (answered.load(Ordering::Relaxed), cpu(&gateway), Instant::now());
    tokio::time::sleep(Duration::from_secs(setting("WAYS_SECONDS", 10))).await;
    let (after, used, took) = (answered.load(Ordering::Relaxed), cpu(&gateway) - used, start.elapsed());
    stop.send(true).expect("clients");
    for client in clients {
        client.await.expect("a client");
    }
    let messages = (after - before) * batch as u64;
    assert_eq!(
        servers.taken(STREAM).await,
        answered.load(Ordering::Relaxed) * batch as u64,
        "every answer is a message"
    );
    let line = format!(
        "{:.0} messages/s in {:.0} requests/s; {:.1} us CPU per message, peak {} MiB",
        messages as f64 / took.as_secs_f64(),
        (after - before) as f64 / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / messages as f64,
        peak_mib(&gateway),
    );
    end(gateway).await;
    line
}

/// Single messages, so many per second, each sent when it is due, whether the one before is answered or not.
pub(crate) async fn steady(servers: &Servers, per_second: u64) -> String {
    servers.empty(STREAM).await;
    let (gateway, address) = servers.gateway();
    let mut gateway = gateway.start();
    gateway.wait_ready(DEADLINE).await;
    let connections = setting("WAYS_CONNECTIONS", 32_usize);
    let seconds = setting("WAYS_SECONDS", 10) + WARM_UP.as_secs();
    let start = tokio::time::Instant::now() + Duration::from_millis(500);
    let clients: Vec<_> = (0..connections)
        .map(|number| {
            let (address, requests) = (address.clone(), requests(servers, 1, number, connections));
            let of_client = per_second * seconds / connections as u64;
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await;
                let mut times = Vec::new();
                for (index, request) in requests.iter().cycle().take(of_client as usize).enumerate() {
                    let place = (index * connections + number) as f64 / per_second as f64;
                    let due = start + Duration::from_secs_f64(place);
                    sleep_until(due).await;
                    connection.exchange(request).await;
                    if place > WARM_UP.as_secs_f64() {
                        times.push(due.elapsed());
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("a client"));
    }
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| percentile(&mut times, part));
    let line = format!(
        "{per_second}/s: p50 {p50:.2} ms, p99 {p99:.2} ms, longest {most:.2} ms; peak {} MiB",
        peak_mib(&gateway)
    );
    end(gateway).await;
    line
}

async fn end(mut gateway: Node) {
    gateway.sigterm();
    assert_eq!(gateway.wait_exit(DEADLINE).await, Some(0), "the gateway's exit code");
}

async fn send(address: String, requests: Vec<Vec<u8>>, answered: Arc<AtomicU64>, stopped: watch::Receiver<bool>) {
    let mut connection = Connection::open(&address).await;
    for request in requests.iter().cycle() {
        if *stopped.borrow() {
            return;
        }
        connection.exchange(request).await;
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Requests of the devices of one connection.
fn requests(servers: &Servers, batch: usize, number: usize, connections: usize) -> Vec<Vec<u8>> {
    let own: Vec<&Device> = servers.devices.iter().skip(number).step_by(connections).collect();
    let of = |index: usize| own[index % own.len()];
    match batch {
        1 => (0..own.len()).map(|index| single(of(index), index as u64)).collect(),
        _ => (0..own.len()).map(|first| batch_of((first..first + batch).map(of))).collect(),
    }
}

fn single(device: &Device, seq: u64) -> Vec<u8> {
    let mut body = payload(device, seq);
    let token = body.as_object_mut().and_then(|body| body.remove("provision_token"));
    let token = token.and_then(|token| token.as_str().map(str::to_owned)).unwrap_or_default();
    let path = format!("/ingest/v1/tenant/{}/device/{}/telemetry", device.tenant_id, device.device_id);
    request(&path, &format!("X-Provision-Token: {token}\r\n"), &body.to_string())
}

fn batch_of<'a>(devices: impl Iterator<Item = &'a Device>) -> Vec<u8> {
    let messages: Vec<_> = devices.enumerate().map(|(seq, device)| payload(device, seq as u64)).collect();
    request("/ingest/v1/batch", "", &serde_json::json!({ "messages": messages }).to_string())
}

fn request(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let socket = TcpStream::connect(address).await.expect("the gateway listens");
        socket.set_nodelay(true).expect("a socket");
        Self { socket, buffer: vec![0; 64 * 1024] }
    }

    /// Sends a request and reads its answer, which must be 202.
    async fn exchange(&mut self, request: &[u8]) {
        self.socket.write_all(request).await.expect("the gateway reads");
        let mut filled = 0;
        loop {
            let read = self.socket.read(&mut self.buffer[filled..]).await.expect("the gateway answers");
            assert!(read > 0, "the gateway closed a connection");
            filled += read;
            let answer = &self.buffer[..filled];
            let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let length: usize = length.unwrap_or_else(|| panic!("an answer without a length: {text}"));
            if filled >= head + 4 + length {
                assert!(text.starts_with("http/1.1 202"), "{}", String::from_utf8_lossy(answer));
                return;
            }
        }
    }
}

//! `ingest-node gateway` over HTTP, between real servers and, where rows matter, a node behind it.

mod answers;
mod batch;
mod crash;
mod devices;
mod documentation;
mod drain;
mod idempotency;
mod openapi;
mod outage;
mod registry;
mod slow;
mod streams;
mod tls;

use std::collections::BTreeMap;

use bytes::Bytes;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Finished, Node, NodeBuilder, Response, free_port, post, wait_for_value};
use serde_json::Value;

use crate::world::{DEADLINE, LANES, World, node, start};

/// A gateway of a world: probes, and where devices send.
pub(crate) struct Gateway {
    pub node: Node,
    pub ingest: String,
}

/// A gateway to be started.
pub(crate) struct GatewayBuilder {
    builder: NodeBuilder,
    ingest: String,
}

impl GatewayBuilder {
    /// Of these servers.
    pub(crate) fn of(world: &World) -> Self {
        let ingest = format!("127.0.0.1:{}", free_port());
        let builder = node()
            .arguments(&["gateway"])
            .env("NATS_URL", world.nats.url())
            .env("DATABASE_URL", world.database.url())
            .env("INGEST_HTTP_BIND", &ingest)
            .env("SETTINGS_POLL_SECONDS", 1)
            .env("LOG_FORMAT", "text");
        Self { builder, ingest }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.builder = self.builder.env(name, value);
        self
    }

    /// Settings that have no variable, as the text of a file.
    pub(crate) fn settings(mut self, text: &str) -> (Self, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("gateway.toml");
        std::fs::write(&file, text).expect("the file");
        self.builder = self.builder.arguments(&["--config", file.to_str().expect("UTF-8"), "gateway"]);
        (self, dir)
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(self) -> Gateway {
        Gateway { node: start(self.builder).await, ingest: self.ingest }
    }

    /// Runs it to its end, for starts that must fail.
    pub(crate) async fn run_to_end(self) -> Finished {
        self.builder.run_to_end(DEADLINE).await
    }

    /// Starts it; it may never be ready.
    pub(crate) fn start_unready(self) -> Gateway {
        Gateway { node: self.builder.start(), ingest: self.ingest }
    }
}

impl Gateway {
    /// Sends a message of a device as its body says, with its token.
    pub(crate) async fn send(&self, device: &Device, msg_type: &str, body: &str) -> Response {
        let (tenant, id) = (&device.tenant_id, &device.device_id);
        let token = device.token.clone().unwrap_or_default();
        self.post(&format!("/ingest/v1/tenant/{tenant}/device/{id}/{msg_type}"), &token, &[], body).await
    }

    /// A request with a token (none where it is empty) and further header lines.
    pub(crate) async fn post(&self, path: &str, token: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Response {
        let token = format!("X-Provision-Token: {token}");
        let headers: Vec<&str> =
            headers.iter().copied().chain(Some(&*token).filter(|line| !line.ends_with(": "))).collect();
        let sent = post(&self.ingest, path, &headers, body.as_ref()).await;
        sent.unwrap_or_else(|e| panic!("no answer of {path}: {e}"))
    }

    /// Refused requests and messages, by reason.
    pub(crate) async fn refusals(&self) -> BTreeMap<String, u64> {
        let refused = self.node.metrics().await.by_label_of("ingest_gateway_refusals_total", &[], "reason");
        refused.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// A world with these devices, a node and a gateway.
async fn world_with(devices: &[Device]) -> (World, Node, Gateway) {
    let world = World::new().await;
    seed::devices(&world.database, devices).await;
    let node = world.start_node().await;
    let gateway = GatewayBuilder::of(&world).start().await;
    (world, node, gateway)
}

/// The body of a good message.
fn body(device: &Device, seq: u64) -> String {
    format!(r#"{{"site_id":"{}","seq":{seq},"metrics":{{"temp_c":21.50}}}}"#, device.site_id)
}

/// The envelopes of a stream, in order.
async fn envelopes(world: &World, stream: &str) -> Vec<Bytes> {
    let stream = world.jetstream.get_stream(stream).await.expect("the stream");
    let state = &stream.cached_info().state;
    let mut envelopes = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        envelopes.push(stream.get_raw_message(sequence).await.expect("a message").payload);
    }
    envelopes
}

/// Waits until all that the streams have is settled, and returns how many rows there are.
async fn rows(world: &World) -> u64 {
    world.wait_settled(LANES[0], DEADLINE).await;
    world.database.count("raw_events").await
}

/// Waits for an answer of this status.
async fn wait_status(what: &str, status: u16, ask: impl AsyncFn() -> Response) -> Response {
    wait_for_value(what, DEADLINE, async || Some(ask().await).filter(|answer| answer.status == status)).await
}

fn reason(answer: &Response) -> (u16, Value) {
    (answer.status, answer.json()["reason"].clone())
}

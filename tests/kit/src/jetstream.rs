//! JetStream as producers and operators use it: streams, publishing at speed (many messages under way at once, every one
//! confirmed), the state of a consumer.

use std::collections::VecDeque;

use async_nats::HeaderMap;
use async_nats::jetstream::{Context, consumer, context, stream};
use bytes::Bytes;

/// Unconfirmed publications under way: enough to hide the round trip.
const WINDOW: usize = 500;

/// A message to be published.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// For example `telemetry.acme`.
    pub subject: String,
    /// The body, an envelope as a rule.
    pub payload: Bytes,
    /// Headers, such as `Nats-Msg-Id`.
    pub headers: HeaderMap,
}

impl Outgoing {
    /// A message without headers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), payload: payload.into(), headers: HeaderMap::new() }
    }

    /// Whether its subject is of this tenant, whose id is a plain token.
    pub fn is_of_tenant(&self, tenant: &str) -> bool {
        self.subject.split('.').nth(1) == Some(tenant)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// Publishes all messages in order and returns their stream sequences.
///
/// # Panics
/// When the server refuses one or does not confirm it: a test needs all of its input.
pub async fn publish_all(jetstream: &Context, messages: impl IntoIterator<Item = Outgoing>) -> Vec<u64> {
    let mut sequences = Vec::new();
    let mut under_way = VecDeque::with_capacity(WINDOW);
    for message in messages {
        if under_way.len() == WINDOW {
            sequences.push(confirmed(under_way.pop_front().expect("a full window")).await);
        }
        let ack = jetstream
            .publish_with_headers(message.subject, message.headers, message.payload)
            .await
            .unwrap_or_else(|e| panic!("cannot publish: {e}"));
        under_way.push_back(ack);
    }
    for ack in under_way {
        sequences.push(confirmed(ack).await);
    }
    sequences
}

async fn confirmed(ack: context::PublishAckFuture) -> u64 {
    ack.await.unwrap_or_else(|e| panic!("a publication was not confirmed: {e}")).sequence
}

/// Creates the streams that producers publish to, as a broker's operator would: `TELEMETRY`, `SHADOW`, `COMMANDS`, `ROUTES`
/// in file storage. The node creates them too; this is for tests that publish before it runs.
pub async fn create_streams(jetstream: &Context) {
    for (name, subjects) in
        [("TELEMETRY", "telemetry.>"), ("SHADOW", "shadow.>"), ("COMMANDS", "commands.>"), ("ROUTES", "routes.>")]
    {
        jetstream
            .get_or_create_stream(stream::Config {
                name: name.to_owned(),
                subjects: vec![subjects.to_owned()],
                storage: stream::StorageType::File,
                ..Default::default()
            })
            .await
            .unwrap_or_else(|e| panic!("cannot create stream {name}: {e}"));
    }
}

/// What the server knows about a durable consumer; `None` while it does not exist or the server is unreachable.
pub async fn consumer_info(jetstream: &Context, stream: &str, consumer: &str) -> Option<consumer::Info> {
    let stream = jetstream.get_stream_no_info(stream).await.ok()?;
    stream.consumer_info(consumer).await.ok()
}

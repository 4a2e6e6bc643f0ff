//! Devices that publish at a steady rate, each message with the moment of its publication as its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::Client;
use async_nats::jetstream::Context;
use ingest_kit::envelope::{outgoing, payload};
use serde_json::json;

use crate::cases::Load;

/// Time between two bursts: fine against a flush interval, rare enough to cost little.
const TICK: Duration = Duration::from_millis(10);

/// Messages of a burst, and bursts whose last message the stream has not confirmed: together under the 10,000 messages
/// that the server queues before it drops some.
const BURST: u64 = 1_000;
const UNDER_WAY: usize = 8;

/// Stand in a template for the time and for the device's count of its messages. Letters only: their text is the same in JSON.
const TIME: &str = "TIME";
const NUMBER: &str = "NUMBER";

/// A device's message, ready but for its time and number.
struct Template {
    subject: String,
    slots: Vec<Slot>,
}

enum Slot {
    Text(String),
    Time,
    Number,
}

/// Publishes the messages of a load, its devices in turn.
pub(crate) struct Publisher {
    client: Client,
    jetstream: Context,
    templates: Vec<Template>,
    last_us: i64,
    published: Arc<AtomicU64>,
}

impl Publisher {
    pub(crate) fn new(client: Client, load: Load) -> Self {
        let jetstream = async_nats::jetstream::new(client.clone());
        let templates = (0..load.devices).map(|number| template(load, number)).collect();
        Self { client, jetstream, templates, last_us: 0, published: Arc::default() }
    }

    /// How many messages are published.
    pub(crate) fn published(&self) -> Arc<AtomicU64> {
        self.published.clone()
    }

    /// Publishes so many messages, so many per second. Where it can't keep to the rate it catches up later.
    pub(crate) async fn publish(&mut self, messages: u64, per_second: u64) {
        let (start, mut sent, mut under_way) = (Instant::now(), 0, VecDeque::with_capacity(UNDER_WAY));
        let mut ticks = tokio::time::interval(TICK);
        while sent < messages {
            ticks.tick().await;
            let due = (start.elapsed().as_secs_f64() * per_second as f64) as u64;
            let burst = due.min(messages).saturating_sub(sent).min(BURST);
            for left in (0..burst).rev() {
                let (subject, text) = self.message(sent);
                sent += 1;
                // The stream takes a connection's messages in order: its word on the last one is its word on all.
                if left > 0 {
                    self.client.publish(subject, text.into()).await.expect("the broker takes messages");
                    continue;
                }
                let ack = self.jetstream.publish(subject, text.into()).await.expect("the broker takes messages");
                under_way.push_back(ack);
            }
            if under_way.len() >= UNDER_WAY {
                under_way.pop_front().expect("one is under way").await.expect("the stream confirms a burst");
            }
            self.published.fetch_add(burst, Ordering::Relaxed);
        }
        for ack in under_way {
            ack.await.expect("the stream confirms a burst");
        }
    }

    fn message(&mut self, number: u64) -> (String, String) {
        // No two messages have the same time, so that each makes a point of its own, known by its time alone.
        self.last_us = (now_ns() / 1_000).max(self.last_us + 1);
        let devices = self.templates.len() as u64;
        let Template { subject, slots } = &self.templates[(number % devices) as usize];
        let mut text = String::with_capacity(1_024);
        for slot in slots {
            match slot {
                Slot::Text(piece) => text.push_str(piece),
                Slot::Time => text.push_str(&self.last_us.to_string()),
                Slot::Number => text.push_str(&(number / devices + 1).to_string()),
            }
        }
        (subject.clone(), text)
    }
}

fn template(load: Load, number: usize) -> Template {
    let device = load.device(number);
    let mut payload = payload(&device, number as u64);
    payload["ts"] = json!(TIME);
    payload["seq"] = json!(NUMBER);
    let message = outgoing(&device, "telemetry", "telemetry", &payload);
    let text = String::from_utf8(message.payload.to_vec()).expect("JSON is text");
    let mut slots = Vec::new();
    for (place, piece) in text.split(&format!("\"{TIME}\"")).enumerate() {
        slots.extend((place > 0).then_some(Slot::Time));
        for (place, piece) in piece.split(&format!("\"{NUMBER}\"")).enumerate() {
            slots.extend((place > 0).then_some(Slot::Number));
            slots.push(Slot::Text(piece.to_owned()));
        }
    }
    assert_eq!(slots.len(), 5, "a place for the time, and one for the number");
    Template { subject: message.subject, slots }
}

pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

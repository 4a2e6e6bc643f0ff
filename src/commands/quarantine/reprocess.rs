//! Sending events through the pipeline again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::IntoFuture;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use clap::Args;
use serde::Serialize;
use slog::{Logger, info};
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;

use super::event::Event;
use super::replayable::Replayable;
use super::{Filter, query};
use crate::config::Config;
use crate::nats::connect::{self, Observers};
use crate::registry;
use crate::runtime::error_chain::error_chain;
use ingest_core::message::names::subject_of_device;
use ingest_core::reprocess::proof;
use ingest_core::reprocess::proof::{FirstDelivery, Key};

/// Events read, published and marked together: enough to hide the round trips, few enough to hold.
const CHUNK: usize = 500;
/// A broker that is busy with its disk may take its time.
const ACK_BOUND: Duration = Duration::from_secs(30);
/// How often progress is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What to replay, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Which events.
    #[command(flatten)]
    pub filter: Filter,
    /// Only events of this device.
    #[arg(long)]
    pub device: Option<String>,
    /// Only the event of this id.
    #[arg(long, value_name = "ID")]
    pub event: Option<i64>,
    /// Say what would be replayed, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Also what has been replayed before.
    #[arg(long)]
    pub again: bool,
    /// Ask for no token, whoever sent it: you vouch for these messages.
    #[arg(long)]
    pub trust: bool,
    /// Messages per second.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What became of the chosen events.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Nothing was published.
    pub dry_run: bool,
    /// Events that the stream has again; in a dry run, those it would have.
    pub replayed: u64,
    /// Events that can't be replayed, by why.
    pub not_replayable: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// For people.
    pub(super) fn page(&self) -> String {
        let verb = if self.dry_run { "would replay" } else { "replayed" };
        let mut page =
            format!("{verb} {}, not replayable {}\n", self.replayed, self.not_replayable.values().sum::<u64>());
        for (why, count) in &self.not_replayable {
            // Writing to a String never fails.
            let _ = writeln!(page, "  {count}: {why}");
        }
        page
    }
}

/// Replays the chosen events. The summary holds what was done, also where it ended early.
pub(super) async fn run(
    config: &Config,
    database: &Client,
    options: &Options,
    log: &Logger,
) -> (Summary, Result<(), String>) {
    let mut summary = Summary { dry_run: options.dry_run, ..Summary::default() };
    let result = replay_all(config, database, options, log, &mut summary).await;
    (summary, result)
}

async fn replay_all(
    config: &Config,
    database: &Client,
    options: &Options,
    log: &Logger,
    summary: &mut Summary,
) -> Result<(), String> {
    let away = |error: tokio_postgres::Error| format!("PostgreSQL does not answer: {}", error_chain(&error));
    let Options { filter, device, again, event, .. } = options;
    let ids = query::oldest_ids(database, &filter.selection(i64::MAX), device.as_deref(), *again, *event)
        .await
        .map_err(away)?;
    let key = registry::replay_key(database).await.map_err(away)?;
    let key = key.ok_or("the database has no key for replays that this role may read: ingest_node.secrets shows no 32 bytes named 'replay'")?;
    let asks_token = config.validate.require_token && !options.trust;

    let mut sender = None;
    let mut pace = Pace::new(options.rate);
    for chunk in ids.chunks(CHUNK) {
        let mut messages = Vec::with_capacity(chunk.len());
        for event in query::by_ids(database, chunk).await.map_err(away)? {
            match ReplayMessage::of(&event, options.trust, asks_token, &key) {
                Ok(message) => messages.push(message),
                Err(why) => *summary.not_replayable.entry(why).or_default() += 1,
            }
        }
        let count = messages.len() as u64;
        if !options.dry_run && count > 0 {
            if sender.is_none() {
                sender = Some(jetstream(config, log).await?);
            }
            if let Some(sender) = &sender {
                let sent: Vec<i64> = messages.iter().map(|message| message.id).collect();
                publish(sender, messages, &mut pace).await?;
                query::mark_replayed(database, &sent).await.map_err(away)?;
            }
        }
        summary.replayed += count;
        if pace.is_time_for_a_word() {
            info!(log, "replaying"; "replayed" => summary.replayed, "of" => ids.len());
        }
    }
    Ok(())
}

async fn jetstream(config: &Config, log: &Logger) -> Result<Context, String> {
    let client =
        connect::connect(&config.nats, "replay", Observers::default(), log).await.map_err(|error| error.to_string())?;
    Ok(ContextBuilder::new().timeout(ACK_BOUND).ack_timeout(ACK_BOUND).max_ack_inflight(2 * CHUNK).build(client))
}

/// Publishes and waits until the stream has all of them.
async fn publish(jetstream: &Context, messages: Vec<ReplayMessage>, pace: &mut Pace) -> Result<(), String> {
    let lost = |error: &dyn std::fmt::Display| format!("the stream did not take a message: {error}");
    let mut open = Vec::with_capacity(messages.len());
    for ReplayMessage { subject, header, body, .. } in messages {
        pace.wait().await;
        let mut headers = HeaderMap::new();
        headers.insert(proof::HEADER, header.as_str());
        let sent = jetstream.publish_with_headers(subject, headers, body.into()).await;
        open.push(sent.map_err(|error| lost(&error))?);
    }
    for ack in open {
        ack.into_future().await.map_err(|error| lost(&error))?;
    }
    Ok(())
}

/// An event as a message of its lane.
#[derive(Debug)]
struct ReplayMessage {
    id: i64,
    subject: String,
    header: String,
    body: String,
}

impl ReplayMessage {
    /// The message of an event, or why there is none.
    fn of(event: &Event, trust: bool, asks_token: bool, key: &Key) -> Result<Self, &'static str> {
        let Replayable { topic_text: text, topic, payload, lane, stream, stream_seq, received_us } =
            Replayable::of(event, trust, asks_token)?;
        let body = proof::envelope(text, payload);
        let facts =
            FirstDelivery { stream: stream.to_owned(), stream_seq, received_us, trusted: trust || event.authenticated };
        Ok(Self {
            id: event.id,
            subject: subject_of_device(lane.subjects().trim_end_matches(".>"), topic.tenant, topic.device),
            header: facts.header(key, body.as_bytes()),
            body,
        })
    }
}

/// Keeps to a rate.
struct Pace {
    started: Instant,
    rate: u32,
    sent: u64,
    next_word: Instant,
}

impl Pace {
    fn new(rate: u32) -> Self {
        let started = Instant::now();
        Self { started, rate, sent: 0, next_word: started + PROGRESS_EVERY }
    }

    async fn wait(&mut self) {
        let due = self.started + Duration::from_secs_f64(self.sent as f64 / f64::from(self.rate));
        self.sent += 1;
        sleep_until(due).await;
    }

    fn is_time_for_a_word(&mut self) -> bool {
        let is_time = Instant::now() >= self.next_word;
        if is_time {
            self.next_word = Instant::now() + PROGRESS_EVERY;
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use ingest_core::message::rejection::Reason;
    use serde_json::value::RawValue;

    use super::*;

    fn event() -> Event {
        Event {
            id: 1,
            refused_at: None,
            received_at: None,
            received_us: Some(5),
            event_ts: None,
            stream: Some("SHADOW".to_owned()),
            stream_seq: Some(120),
            topic: Some("tenant/acme north/device/d/shadow/reported".to_owned()),
            tenant_id: None,
            site_id: None,
            device_id: None,
            msg_type: None,
            reason: Reason::DeviceRevoked.as_str().to_owned(),
            detail: None,
            authenticated: true,
            replayed_at: None,
            replays: 0,
            payload: RawValue::from_string(r#"{"a": 1}"#.to_owned()).ok(),
            raw: None,
            pretty_payload: None,
            is_mirrored: false,
        }
    }

    fn key() -> Key {
        Key::new(&[7; 32]).unwrap()
    }

    fn message(event: &Event, trust: bool) -> Result<ReplayMessage, &'static str> {
        ReplayMessage::of(event, trust, !trust, &key())
    }

    #[test]
    fn an_event_goes_back_to_the_lane_it_came_from() {
        let ReplayMessage { subject, body, header, .. } = message(&event(), false).unwrap();
        assert_eq!(subject, "shadow.acme%20north.d");
        assert_eq!(body, r#"{"topic":"tenant/acme north/device/d/shadow/reported","payload":{"a":1}}"#);
        let facts = FirstDelivery { stream: "SHADOW".to_owned(), stream_seq: 120, received_us: 5, trusted: true };
        assert_eq!(FirstDelivery::proven(&header, &key(), body.as_bytes()), Some(facts));
    }

    #[test]
    fn an_event_of_an_mqtt_client_goes_through_the_lane_of_its_type_with_its_own_origin() {
        for (rest, lane) in [("alarm", "telemetry"), ("shadow/reported", "shadow"), ("commands/ack", "commands")] {
            let topic = Some(format!("tenant/acme/device/d.1/{rest}"));
            let event = Event { topic, stream: Some("$MQTT_msgs".to_owned()), ..event() };
            let ReplayMessage { subject, header, body, .. } = message(&event, false).unwrap();
            assert_eq!(subject, format!("{lane}.acme.d%2E1"));
            assert_eq!(FirstDelivery::proven(&header, &key(), body.as_bytes()).unwrap().stream, "$MQTT_msgs");
        }
    }

    #[test]
    fn a_sender_that_proved_nothing_needs_the_operators_word() {
        let stranger = Event { authenticated: false, stream: Some("TELEMETRY".to_owned()), ..event() };
        assert!(message(&stranger, false).unwrap_err().contains("--trust"));
        let ReplayMessage { header, body, .. } = message(&stranger, true).unwrap();
        assert!(FirstDelivery::proven(&header, &key(), body.as_bytes()).unwrap().trusted);
    }

    #[test]
    fn what_came_on_anothers_subject_needs_the_operators_word_on_every_lane() {
        for stream in ["TELEMETRY", "SHADOW", "COMMANDS", "$MQTT_msgs"] {
            let reason = Reason::SubjectMismatch.as_str().to_owned();
            let foreign = Event { stream: Some(stream.to_owned()), reason, ..event() };
            assert!(ReplayMessage::of(&foreign, false, false, &key()).unwrap_err().contains("subject"), "{stream}");
            assert!(message(&foreign, true).is_ok(), "{stream}");
        }
    }

    #[test]
    fn what_can_not_be_replayed_says_why() {
        for (what, broken) in [
            ("point", Event { reason: Reason::PointRefused.as_str().to_owned(), ..event() }),
            ("bytes", Event { payload: None, ..event() }),
            ("names no device", Event { topic: Some("tenant/a".to_owned()), ..event() }),
            ("earlier system", Event { stream_seq: None, ..event() }),
            ("none that the node reads", Event { stream: Some("OTHER".to_owned()), ..event() }),
            ("mirrored", Event { is_mirrored: true, ..event() }),
        ] {
            assert!(message(&broken, true).unwrap_err().contains(what), "{what}");
        }
    }
}

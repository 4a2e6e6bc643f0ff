//! The facts of one message, source by source. A source that does not answer leaves its facts unknown, and the others are asked
//! all the same.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RetentionPolicy;
use slog::Logger;

use super::broker::Broker;
use super::checked::{self, Content, received_us};
use super::database::{Database, DatabaseError};
use super::find::{self, Candidate, Wanted};
use super::{registered, side_effects, stored};
use crate::commands::quarantine::event::Event as StoredEvent;
use crate::config::Config;
use crate::delivery::Lane;
use crate::nats::connect::AttemptError;
use crate::outbox::policy::WritePolicy;
use crate::registry;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use ingest_core::explain::{
    Claim, Consumer, ConsumerFacts, Facts, Message, MessageFacts, Points, Prospect, Question, Source, Stream,
    StreamFacts, Unknown, claim,
};
use ingest_core::message::device::{DeviceKey, Lookup};
use ingest_core::reprocess::proof;

/// Older messages that are named beside the newest.
const MOST_OTHERS: usize = 5;

/// What is asked, and who.
pub(super) struct Gatherer<'a> {
    config: &'a Config,
    broker: Option<Broker>,
    database: Option<Database>,
    since_us: Option<i64>,
    facts: Facts,
    /// The message, where its stream has it.
    message: Option<StreamMessage>,
    /// Its quarantine events as they are stored.
    events: Vec<StoredEvent>,
}

impl<'a> Gatherer<'a> {
    /// Connects to both servers, side by side.
    ///
    /// # Errors
    /// The exit code and a sentence, where the settings can't work.
    pub(super) async fn connect(
        config: &'a Config,
        question: Question,
        since_us: Option<i64>,
        log: &Logger,
    ) -> Result<Self, (Exit, String)> {
        let points = match (config.influx.write_enabled, config.influx.write_policy) {
            (false, _) => Points::Nowhere,
            (true, WritePolicy::BestEffort) => Points::BestEffort,
            (true, WritePolicy::Required) => Points::Required,
        };
        let mut gatherer = Self {
            config,
            broker: None,
            database: None,
            since_us,
            facts: Facts::of(question, points),
            message: None,
            events: Vec::new(),
        };
        let (broker, database) = tokio::join!(Broker::connect(config, log), Database::open(config));
        match broker {
            Ok(broker) => gatherer.broker = Some(broker),
            Err(AttemptError::Settings(error)) => return Err((Exit::Config, error_chain(&error))),
            Err(error) => gatherer.away(Source::Stream, format!("NATS can't be reached: {}", error_chain(&error))),
        }
        match database {
            Ok(database) => gatherer.database = Some(database),
            Err(error) if error.exit() == Exit::Config => return Err((Exit::Config, error_chain(&error))),
            Err(error) => gatherer.away(Source::Postgres, error_chain(&error)),
        }
        Ok(gatherer)
    }

    /// All that is known of the message.
    pub(super) async fn gather(mut self) -> Facts {
        self.find().await;
        self.ask_stream().await;
        self.follow_copy().await;
        self.ask_records().await;
        self.ask_consequences().await;
        self.facts
    }

    fn away(&mut self, source: Source, why: String) {
        self.facts.unknown.push(Unknown { source, why, is_away: true });
    }

    /// The answer; where there is none, why.
    fn known<T, E: std::error::Error + 'static>(&mut self, source: Source, answer: Result<T, E>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.facts.unknown.push(Unknown { source, why: error_chain(&error), is_away: false });
                None
            }
        }
    }

    /// Finds out which message is meant.
    async fn find(&mut self) {
        match self.facts.question.clone() {
            Question::Place { stream, seq } => self.facts.place = Some((stream, seq)),
            Question::Event(id) => {
                let Some(database) = &self.database else { return };
                let found = stored::events(database, &[id]).await;
                let Some(event) = self.known(Source::Postgres, found).and_then(|mut events| events.pop()) else {
                    return;
                };
                self.facts.received_us = event.received_us;
                self.facts.place = event.stream.clone().zip(event.stream_seq.and_then(|seq| u64::try_from(seq).ok()));
                self.events = vec![event];
            }
            Question::Device { tenant, device, seq } => {
                self.find_of_device(&DeviceKey::new(&tenant, &device), seq).await;
            }
        }
    }

    async fn find_of_device(&mut self, key: &DeviceKey, seq: Option<i64>) {
        let wanted = Wanted { key, seq, since_us: self.since_us.unwrap_or_default() };
        let mut candidates = Vec::new();
        if let Some(database) = &self.database {
            let found = find::stored(database, wanted).await;
            candidates.extend(self.known(Source::Postgres, found).unwrap_or_default());
        }
        if let Some(broker) = &self.broker {
            let found = find::in_streams(broker, self.config.nats.lanes().iter(), wanted).await;
            candidates.extend(self.known(Source::Stream, found).unwrap_or_default());
        }
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        candidates.dedup();
        let mut candidates = candidates.into_iter();
        if let Some(Candidate { received_us, stream, seq }) = candidates.next() {
            (self.facts.place, self.facts.received_us) = (Some((stream, seq)), Some(received_us));
        }
        if seq.is_some() {
            self.facts.others = candidates.map(|one| (one.stream, one.seq)).take(MOST_OTHERS).collect();
        }
    }

    /// Asks the broker about the stream, the message and the consumer.
    async fn ask_stream(&mut self) {
        let Some((stream, seq)) = self.facts.place.clone() else { return };
        let Some(broker) = &self.broker else { return };
        let found = broker.stream(&stream).await;
        let message = match &found {
            Ok(Some(_)) => Some(broker.message(&stream, seq).await),
            _ => None,
        };
        let lane = Lane::of_stream(&stream);
        let consumer = match (lane, &found) {
            (Some(lane), Ok(Some(_))) => Some(broker.consumer(lane).await),
            _ => None,
        };
        let Some(found) = self.known(Source::Stream, found) else { return };
        let Some(info) = found else {
            self.facts.stream = Stream::Missing;
            return;
        };
        let message = message.and_then(|message| self.known(Source::Stream, message));
        // A message that a former stream of this name had is not the one that has its number now.
        let asked_us = self.facts.received_us;
        let is_it = |message: &StreamMessage| asked_us.is_none_or(|asked_us| asked_us == received_us(message));
        self.facts.stream = Stream::Found(StreamFacts {
            created_us: (info.created.unix_timestamp_nanos() / 1_000) as i64,
            first_seq: info.state.first_sequence,
            last_seq: info.state.last_sequence,
            max_age_secs: info.config.max_age.as_secs(),
            drops_settled: info.config.retention != RetentionPolicy::Limits,
            message: match &message {
                None => Message::Unknown,
                Some(Some(message)) if is_it(message) => Message::Present(MessageFacts {
                    received_us: received_us(message),
                    subject: message.subject.to_string(),
                    bytes: message.payload.len(),
                }),
                Some(_) => Message::Absent,
            },
        });
        self.message = message.flatten().filter(is_it);
        self.facts.received_us = self.facts.received_us.or(self.message.as_ref().map(received_us));
        self.facts.consumer = match (lane, consumer.map(|consumer| self.known(Source::Consumer, consumer))) {
            (None, _) => Consumer::NotOurs,
            (Some(_), None | Some(None)) => Consumer::Unknown,
            (Some(lane), Some(Some(None))) => Consumer::Missing(lane.consumer()),
            (Some(lane), Some(Some(Some(info)))) => Consumer::Found(ConsumerFacts {
                name: lane.consumer(),
                created_us: (info.created.unix_timestamp_nanos() / 1_000) as i64,
                delivered: info.delivered.stream_sequence,
                ack_floor: info.ack_floor.stream_sequence,
                ack_pending: info.num_ack_pending as u64,
                pending: info.num_pending,
                redelivered: info.num_redelivered as u64,
                max_deliver: u64::try_from(info.config.max_deliver).unwrap_or_default(),
            }),
        };
    }

    /// A message that was sent through again stands for its original: what is stored has that one's key.
    async fn follow_copy(&mut self) {
        let header = self.message.as_ref().and_then(|message| message.headers.get(proof::HEADER));
        let Some(header) = header.map(|header| header.as_str().to_owned()) else { return };
        let (Some(database), Some(message)) = (&self.database, &self.message) else { return };
        let key = registry::replay_key(&database.client).await;
        let origin = key.as_ref().ok().and_then(Option::as_ref);
        let origin = origin.and_then(|key| proof::FirstDelivery::proven(&header, key, &message.payload));
        self.known(Source::Postgres, key);
        let Some(proof::FirstDelivery { stream, stream_seq, received_us, .. }) = origin else { return };
        self.facts.copy = self.facts.place.replace((stream, stream_seq));
        self.facts.received_us = Some(received_us);
        (self.facts.stream, self.facts.consumer, self.message) = (Stream::Unknown, Consumer::Unknown, None);
        self.ask_stream().await;
    }

    /// Asks PostgreSQL what it holds of the message.
    async fn ask_records(&mut self) {
        let Some(database) = self.database.take() else { return };
        if let Some((stream, seq)) = self.facts.place.clone() {
            let key = (stream.as_str(), i64::try_from(seq).unwrap_or(i64::MAX));
            let rows = self.rows(&database, key).await;
            self.facts.rows = self.known(Source::Postgres, rows);
            let events = self.stored_events(&database, key).await;
            self.events = self.known(Source::Postgres, events).unwrap_or_default();
        }
        let ids: Vec<i64> = self.events.iter().map(|event| event.id).collect();
        let times = stored::times(&database, &ids).await;
        if let Some(mut times) = self.known(Source::Postgres, times) {
            let asks_token = self.config.validate.require_token;
            let mut fact =
                |event: &StoredEvent| stored::fact(event, times.remove(&event.id).unwrap_or_default(), asks_token);
            self.facts.events = Some(self.events.iter().map(&mut fact).collect());
        }
        // Without the message, the newest record says when it was received.
        let newest_row = self.facts.rows.iter().flatten().map(|row| row.received_us).max();
        let newest_event = self.events.iter().filter_map(|event| event.received_us).max();
        self.facts.received_us = self.facts.received_us.or(newest_row.max(newest_event));
        self.database = Some(database);
    }

    /// Rows by the whole key first, which is quick; then by stream and number alone.
    async fn rows(
        &self,
        database: &Database,
        key: (&str, i64),
    ) -> Result<Vec<ingest_core::explain::Row>, DatabaseError> {
        let received_us = self.facts.received_us;
        let exact = match received_us {
            Some(_) => stored::rows(database, key, received_us, None).await?,
            None => Vec::new(),
        };
        if !exact.is_empty() {
            return Ok(exact);
        }
        match (received_us, stored::rows(database, key, None, self.since_us).await) {
            // There is no row of this message: what former streams had is beside the point.
            (Some(_), Err(DatabaseError::TooLong)) => Ok(Vec::new()),
            (_, others) => others,
        }
    }

    async fn stored_events(&self, database: &Database, key: (&str, i64)) -> Result<Vec<StoredEvent>, DatabaseError> {
        let received_us = self.facts.received_us;
        let mut ids = match received_us {
            Some(_) => stored::event_ids(database, key, received_us, None).await?,
            None => Vec::new(),
        };
        if ids.is_empty() {
            ids = match (received_us, stored::event_ids(database, key, None, self.since_us).await) {
                (Some(_), Err(DatabaseError::TooLong)) => Vec::new(),
                (_, others) => others?,
            };
        }
        stored::events(database, &ids).await
    }

    /// Asks what follows from the message and its records: points, states, the device, and the checks of now.
    async fn ask_consequences(&mut self) {
        let Some(database) = self.database.take() else { return };
        let content = self.content();
        let device = self.device(content.as_ref());
        if let (Some((stream, seq)), Some(received_us)) = (self.facts.place.clone(), self.facts.received_us) {
            let tenant = device.as_ref().map(|key| key.tenant_id.clone());
            if self.facts.row().is_some()
                && let Some(tenant) = &tenant
            {
                let entries = stored::entries(&database, tenant, &stream, received_us).await;
                self.facts.entries = self.known(Source::Outbox, entries);
                let key = (stream.as_str(), i64::try_from(seq).unwrap_or(i64::MAX));
                let backfills = stored::backfills(&database, tenant, key, received_us).await;
                self.facts.backfills = self.known(Source::Outbox, backfills).unwrap_or_default();
            } else {
                let counted = stored::counted(&database, tenant.as_deref(), received_us).await;
                self.facts.counted = self.known(Source::Postgres, counted).unwrap_or_default();
            }
        }
        if let (Some(Content { opened: Ok(envelope), checks: Some(checks), .. }), Some(key)) = (&content, &device) {
            match claim(envelope, *checks) {
                Some(Claim::Version(version)) => {
                    let shadow = side_effects::shadow(&database, key, version).await;
                    self.facts.shadow = self.known(Source::Postgres, shadow);
                }
                Some(Claim::Command(id)) => {
                    let command = side_effects::command(&database, key, &id).await;
                    self.facts.command = self.known(Source::Postgres, command);
                }
                None => {}
            }
        }
        let today = checked::today(&database, device.as_ref()).await;
        let Some((settings, today)) = self.known(Source::Registry, today) else { return };
        if let (Some(key), Some(today)) = (&device, &today) {
            let found = registered::device(&database, key, today.tenant_is_registered).await;
            if let Some(found) = self.known(Source::Registry, found) {
                self.facts.device = found;
            }
            let gaps = registered::gaps(&database, key).await;
            self.facts.gaps = self.known(Source::Postgres, gaps).flatten();
        }
        // What is stored stays stored, whatever the checks say by now.
        if let Some(content) = content.filter(|_| !self.facts.row().is_some_and(|row| row.accepted)) {
            let lookup: Option<&Lookup> = today.as_ref().map(|today| &today.lookup);
            self.facts.prospect = content.prospect(self.config, &settings, lookup);
        } else {
            self.facts.prospect = Prospect::Unknown;
        }
    }

    /// What can be validated: the message as it would be sent through again, where it is in the quarantine.
    fn content(&self) -> Option<Content> {
        let own = self.events.iter().find(|event| event.received_us == self.facts.received_us);
        if let Some(content) = own.and_then(Content::of_event) {
            return Some(content);
        }
        let lane = self.facts.place.as_ref().and_then(|(stream, _)| Lane::of_stream(stream));
        self.message.as_ref().zip(lane).map(|(message, lane)| Content::of_message(lane, message, self.config))
    }

    /// The device that the message is of.
    fn device(&self, content: Option<&Content>) -> Option<DeviceKey> {
        if let Some(key) = content.and_then(Content::device) {
            return Some(key);
        }
        if let Question::Device { tenant, device, .. } = &self.facts.question {
            return Some(DeviceKey::new(tenant, device));
        }
        let event = self.events.iter().find(|event| event.received_us == self.facts.received_us);
        let of_event = event.map(|event| (&event.tenant_id, &event.device_id));
        let (tenant, device) = self.facts.row().map(|row| (&row.tenant, &row.device)).or(of_event)?;
        Some(DeviceKey::new(tenant.as_ref()?, device.as_ref()?))
    }
}

//! What one transaction holds.

use super::gate::Gate;
use super::partitions::Day;
use super::quarantine::PendingQuarantine;
use crate::delivery::Delivery;
use crate::delivery::pending_ack::PendingAck;
use crate::postgres::classify::Answer;
use ingest_core::message::quarantine_content;
use ingest_core::message::quarantine_content::Content;
use ingest_core::message::rejection::{Reason, Rejection};
use ingest_core::validate::event::{CommandAck, Event, QuarantineRecord, ShadowReport};

/// What items of a batch are: each kind has tables of its own, and one kind's trouble is not another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows of `raw_events`.
    Events,
    /// Quarantine and counters.
    Refusals,
    /// Reports of the shadow lane.
    Shadows,
    /// Acknowledgements of the command lane.
    Acks,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Events, Kind::Refusals, Kind::Shadows, Kind::Acks];

    /// What operators know it as.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Events => "rows",
            Kind::Refusals => "rejections",
            Kind::Shadows => "shadow reports",
            Kind::Acks => "command acknowledgements",
        }
    }
}

/// The contents of one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows of `raw_events`.
    pub events: Vec<(Delivery, Event)>,
    /// Refusals: quarantine and counters.
    pub refusals: Vec<PendingQuarantine>,
    /// Reports of the shadow lane.
    pub shadows: Vec<(Delivery, ShadowReport)>,
    /// Acknowledgements of the command lane.
    pub acks: Vec<(Delivery, CommandAck)>,
    /// What the outbox has on record of the events' points, one share per event; empty where nothing is recorded.
    pub owed: Vec<PendingAck>,
    /// Whether an event's row was there before, one word per event; empty where all rows are new.
    pub was_there: Vec<bool>,
    /// What the last attempt could not store although it stored the rest.
    pub put_off: Vec<PutOff>,
    /// How it is to be written.
    pub write_mode: WriteMode,
    /// An earlier attempt ended without an answer: rows that are there already may be this batch's own.
    pub has_unknown_end: bool,
}

/// Items of one kind that can't be stored now.
#[derive(Debug)]
pub struct PutOff {
    /// Their kind.
    pub kind: Kind,
    /// Nothing else of their kind could be stored either.
    pub is_general: bool,
    /// The server's answer to the first of them.
    pub answer: Answer,
    /// The items.
    pub batch: Batch,
}

/// How carefully a batch is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteMode {
    /// First deliveries straight in: they can't be there already.
    #[default]
    Straight,
    /// Every row may be there already: an earlier attempt failed with an unknown end, or met a row that was.
    Staged,
    /// Something in it was refused: each part stands on its own.
    Isolated,
}

impl Batch {
    /// Everything in it.
    pub fn len(&self) -> usize {
        self.events.len() + self.refusals.len() + self.shadows.len() + self.acks.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the row of this delivery goes by way of the staging table, because it may be there already. What an earlier
    /// consumer may have delivered is tried straight first: a backlog that is older than its consumer is new as a rule, and
    /// the first row that is not sends its batch this way.
    pub fn is_staged(&self, delivery: &Delivery) -> bool {
        self.write_mode > WriteMode::Straight || delivery.is_redelivery()
    }

    /// Whether it holds nothing but rows that are not there already.
    pub fn is_new_rows_only(&self) -> bool {
        self.len() == self.events.len() && !self.events.iter().any(|(delivery, _)| self.is_staged(delivery))
    }

    /// The days its rows fall on.
    pub fn days(&self) -> Vec<Day> {
        let mirrored = self.refusals.iter().filter(|refused| refused.keep.mirror).map(|refused| &refused.origin);
        let mut days: Vec<Day> = Vec::with_capacity(1);
        for origin in self.events.iter().map(|(delivery, _)| &delivery.origin).chain(mirrored) {
            let day = Day::of(origin.received_us);
            if !days.contains(&day) {
                days.push(day);
            }
        }
        days
    }

    /// Takes the items of a kind out, where there are any, to be written in isolation.
    pub fn take_kind(&mut self, kind: Kind) -> Option<Batch> {
        let mut taken =
            Batch { write_mode: WriteMode::Isolated, has_unknown_end: self.has_unknown_end, ..Batch::default() };
        match kind {
            Kind::Events => taken.events = std::mem::take(&mut self.events),
            Kind::Refusals => taken.refusals = std::mem::take(&mut self.refusals),
            Kind::Shadows => taken.shadows = std::mem::take(&mut self.shadows),
            Kind::Acks => taken.acks = std::mem::take(&mut self.acks),
        }
        (!taken.is_empty()).then_some(taken)
    }

    /// Takes back what an attempt has put off that was not committed after all.
    pub fn take_back(&mut self) {
        for mut put_off in std::mem::take(&mut self.put_off) {
            self.events.append(&mut put_off.batch.events);
            self.refusals.append(&mut put_off.batch.refusals);
            self.shadows.append(&mut put_off.batch.shadows);
            self.acks.append(&mut put_off.batch.acks);
        }
    }

    /// Turns an event that PostgreSQL refuses for good into a refusal.
    pub fn refuse_event(&mut self, (delivery, event): (Delivery, Event), answer: Answer, gate: &Gate) {
        let refusal = refused_row(event, answer.message);
        self.refusals.push(refused_by_postgres(delivery, refusal, gate));
    }

    /// Turns a shadow report that PostgreSQL refuses for good into a refusal.
    pub fn refuse_shadow(&mut self, (delivery, report): (Delivery, ShadowReport), answer: Answer, gate: &Gate) {
        let refusal = refused_side(&report.device.key, "shadow/reported", report.reported, answer.message);
        self.refusals.push(refused_by_postgres(delivery, refusal, gate));
    }

    /// Turns an acknowledgement that PostgreSQL refuses for good into a refusal.
    pub fn refuse_ack(&mut self, (delivery, ack): (Delivery, CommandAck), answer: Answer, gate: &Gate) {
        let refusal = refused_side(&ack.device.key, "commands/ack", ack.ack_details, answer.message);
        self.refusals.push(refused_by_postgres(delivery, refusal, gate));
    }
}

fn refused_row(event: Event, message: String) -> QuarantineRecord {
    let key = &event.device.key;
    QuarantineRecord {
        rejection: Rejection::new(Reason::RowRefused, message),
        tenant_id: Some(key.tenant_id.to_string()),
        site_id: Some(event.device.site_id.clone()),
        device_id: Some(key.device_id.to_string()),
        msg_type: Some(event.msg_type.as_str().to_owned()),
        of_unknown_tenant: false,
        event_us: Some(event.event_us),
        topic: event.topic.to_string(),
        content: content(event.payload.as_bytes()),
    }
}

fn refused_side(
    key: &ingest_core::message::device::DeviceKey,
    kind: &str,
    body: String,
    message: String,
) -> QuarantineRecord {
    QuarantineRecord {
        rejection: Rejection::new(Reason::RowRefused, message),
        topic: format!("tenant/{}/device/{}/{kind}", key.tenant_id, key.device_id),
        tenant_id: Some(key.tenant_id.to_string()),
        site_id: None,
        device_id: Some(key.device_id.to_string()),
        msg_type: Some(kind.to_owned()),
        of_unknown_tenant: false,
        event_us: None,
        content: content(body.as_bytes()),
    }
}

/// JSON as such where jsonb can hold it: a row may be refused for its device or its time.
fn content(json: &[u8]) -> Content {
    match std::str::from_utf8(json) {
        Ok(text) => quarantine_content::text(text, text.len()).content,
        Err(_) => quarantine_content::raw(json),
    }
}

fn refused_by_postgres(delivery: Delivery, refusal: QuarantineRecord, gate: &Gate) -> PendingQuarantine {
    // The mirror is a row of the table that has just refused it.
    let (keep, _) = gate.decide(&delivery.origin, &refusal, false);
    PendingQuarantine::message(delivery, refusal, keep)
}

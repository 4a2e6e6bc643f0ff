//! What others have gathered about a message. What could not be asked is unknown, and never taken for absent.

pub(super) mod broker;
pub(super) mod device;
pub(super) mod gaps;
pub(super) mod stored;

use self::broker::{Consumer, Message, Stream, StreamFacts};
use self::device::{Device, Prospect};
use self::gaps::Gaps;
use self::stored::{Backfill, Command, Counted, Entry, Event, Row, Shadow};
use super::step::Source;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A message by its place.
    Place {
        /// Its stream.
        stream: String,
        /// Its number there.
        seq: u64,
    },
    /// A message of a device: the newest one.
    Device {
        /// The tenant's id.
        tenant: String,
        /// The device's id.
        device: String,
        /// The sender's number of it; `None`: any.
        seq: Option<i64>,
    },
    /// The message of a quarantine event, by the event's id.
    Event(i64),
}

/// A question that has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Who was asked.
    pub source: Source,
    /// Why there is no answer.
    pub why: String,
    /// Whether nothing at all can be asked there.
    pub is_away: bool,
}

/// Where points go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Points {
    /// Nowhere: no InfluxDB is configured.
    #[default]
    Nowhere,
    /// To InfluxDB, by the outbox where it does not confirm them at once.
    BestEffort,
    /// To InfluxDB, before the message is settled.
    Required,
}

/// All that is known of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What was asked for.
    pub question: Question,
    /// Its stream, and its number there; `None` where nothing was found that has one.
    pub place: Option<(String, u64)>,
    /// When the broker took it, Unix microseconds: with its place the key of all that is stored of it.
    pub received_us: Option<i64>,
    /// The message that was asked for, where that is a copy of this one, sent through again from the quarantine.
    pub copy: Option<(String, u64)>,
    /// Its stream.
    pub stream: Stream,
    /// The consumer of the node on that stream.
    pub consumer: Consumer,
    /// Rows of `raw_events` with its stream and number, newest first; `None`: unknown.
    pub rows: Option<Vec<Row>>,
    /// Quarantine events with its stream and number, newest first; `None`: unknown.
    pub events: Option<Vec<Event>>,
    /// What was counted of its tenant in its minute.
    pub counted: Vec<Counted>,
    /// Outbox entries that cover it; `None`: unknown.
    pub entries: Option<Vec<Entry>>,
    /// Backfills that cover it.
    pub backfills: Vec<Backfill>,
    /// The shadow of its device, where it is a shadow report.
    pub shadow: Option<Shadow>,
    /// The command, where it acknowledges one.
    pub command: Option<Command>,
    /// Its device.
    pub device: Device,
    /// What is on record of its device's numbers, and of its silence.
    pub gaps: Option<Gaps>,
    /// What would become of it now.
    pub prospect: Prospect,
    /// Where points go.
    pub points: Points,
    /// Older messages that the question fits, too, by place; at most a handful.
    pub others: Vec<(String, u64)>,
    /// What could not be asked.
    pub unknown: Vec<Unknown>,
}

impl Facts {
    /// Nothing known yet.
    pub fn of(question: Question, points: Points) -> Self {
        Self {
            question,
            place: None,
            received_us: None,
            copy: None,
            stream: Stream::Unknown,
            consumer: Consumer::Unknown,
            rows: None,
            events: None,
            counted: Vec::new(),
            entries: None,
            backfills: Vec::new(),
            shadow: None,
            command: None,
            device: Device::Unknown,
            gaps: None,
            prospect: Prospect::Unknown,
            points,
            others: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// The message in its stream, where it is there.
    pub fn message(&self) -> Option<&broker::MessageFacts> {
        match &self.stream {
            Stream::Found(StreamFacts { message: Message::Present(message), .. }) => Some(message),
            _ => None,
        }
    }

    /// Its row.
    pub fn row(&self) -> Option<&Row> {
        let mut rows = self.rows.iter().flatten().filter(|row| Some(row.received_us) == self.received_us);
        rows.next()
    }

    /// Its quarantine events, newest first.
    pub fn own_events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().flatten().filter(|event| event.received_us == self.received_us)
    }

    /// Whether its stream was made after it: today's stream of that name is another one.
    pub fn is_of_former_stream(&self) -> bool {
        match (&self.stream, self.received_us) {
            (Stream::Found(stream), Some(received_us)) => received_us < stream.created_us,
            _ => false,
        }
    }

    /// Whether something of it was found anywhere.
    pub fn has_trace(&self) -> bool {
        self.message().is_some()
            || self.row().is_some()
            || self.own_events().next().is_some()
            || self.rows.iter().flatten().next().is_some()
            || self.events.iter().flatten().next().is_some()
    }

    /// Whether somebody could not be asked at all.
    pub fn is_incomplete(&self) -> bool {
        self.unknown.iter().any(|unknown| unknown.is_away)
    }
}

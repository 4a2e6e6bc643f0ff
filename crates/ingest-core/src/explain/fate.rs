//! The fate of a message: one word for what became of it.

use super::facts::broker::{Consumer, Message, Progress, Stream, StreamFacts};
use super::facts::device::Prospect;
use super::facts::stored::{Event, Row};
use super::facts::{Facts, Points};
use crate::message::rejection::Reason;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A row, and its point is in InfluxDB.
    Stored,
    /// A row, and its point is owed to InfluxDB.
    PointOwed,
    /// A row, and InfluxDB has refused its point.
    PointRefused,
    /// A row that makes no point.
    StoredWithoutPoint,
    /// A row; the delivery is not settled, and the next one will be suppressed.
    StoredNotSettled,
    /// Rejected first, and stored when it was sent through again.
    Reprocessed,
    /// Rejected, in quarantine.
    Quarantined,
    /// Rejected and terminated: it never comes again by itself.
    Terminated,
    /// Rejected, and also a row that is not accepted.
    Mirrored,
    /// Rejected and only counted, as far as the counters tell.
    Counted,
    /// Not delivered yet.
    Waiting,
    /// Delivered, not settled.
    Delivered,
    /// A shadow report or an acknowledgement that is in force.
    Applied,
    /// A shadow report or an acknowledgement that another one has overtaken.
    Overtaken,
    /// Acknowledged without any effect: it is none of a device.
    Ignored,
    /// Settled, and nothing of it is left.
    SettledWithoutTrace,
    /// No longer in its stream, which begins later.
    Expired,
    /// Not in its stream yet, which ends earlier.
    NotYet,
    /// Removed from the middle of its stream.
    Removed,
    /// There is no such stream.
    NoStream,
    /// The stream is there, and none of the node's.
    NotOurs,
    /// Nothing was found.
    NoTrace,
    /// Somebody who would know could not be asked.
    Unknown,
}

impl Fate {
    /// Its code, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fate::Stored => "stored",
            Fate::PointOwed => "point_owed",
            Fate::PointRefused => "point_refused",
            Fate::StoredWithoutPoint => "stored_without_point",
            Fate::StoredNotSettled => "stored_not_settled",
            Fate::Reprocessed => "reprocessed",
            Fate::Quarantined => "quarantined",
            Fate::Terminated => "terminated",
            Fate::Mirrored => "mirrored",
            Fate::Counted => "counted",
            Fate::Waiting => "waiting",
            Fate::Delivered => "delivered",
            Fate::Applied => "applied",
            Fate::Overtaken => "overtaken",
            Fate::Ignored => "ignored",
            Fate::SettledWithoutTrace => "settled_without_trace",
            Fate::Expired => "expired",
            Fate::NotYet => "not_yet",
            Fate::Removed => "removed",
            Fate::NoStream => "no_stream",
            Fate::NotOurs => "not_ours",
            Fate::NoTrace => "no_trace",
            Fate::Unknown => "unknown",
        }
    }

    /// The fate that the facts tell of.
    pub fn of(facts: &Facts) -> Self {
        let rejected = rejection(facts);
        match (facts.row(), rejected) {
            (Some(row), rejected) if row.accepted => Self::of_row(facts, row, rejected),
            (Some(_), _) => Fate::Mirrored,
            (None, Some(event)) if is_poison(event) => Fate::Terminated,
            (None, Some(_)) => Fate::Quarantined,
            (None, None) if facts.own_events().next().is_some() => Fate::PointRefused,
            (None, None) => Self::without_record(facts),
        }
    }

    fn of_row(facts: &Facts, row: &Row, rejected: Option<&Event>) -> Self {
        let makes_a_point = facts.points != Points::Nowhere && row.makes_a_point();
        if facts.own_events().any(is_of_point) {
            Fate::PointRefused
        } else if makes_a_point && facts.entries.as_ref().is_some_and(|entries| !entries.is_empty()) {
            Fate::PointOwed
        } else if rejected.is_some() {
            Fate::Reprocessed
        } else if matches!(progress(facts), Some(Progress::Waiting(_) | Progress::Delivered)) {
            Fate::StoredNotSettled
        } else if makes_a_point {
            Fate::Stored
        } else {
            Fate::StoredWithoutPoint
        }
    }

    /// The fate of what PostgreSQL has nothing of.
    fn without_record(facts: &Facts) -> Self {
        let Some((_, seq)) = &facts.place else {
            return if facts.is_incomplete() { Fate::Unknown } else { Fate::NoTrace };
        };
        let fate = match (&facts.stream, &facts.consumer) {
            (Stream::Unknown, _) | (Stream::Found(StreamFacts { message: Message::Unknown, .. }), _) => Fate::Unknown,
            (Stream::Missing, _) => Fate::NoStream,
            (Stream::Found(stream @ StreamFacts { message: Message::Absent, .. }), _) => Self::of_absent(stream, *seq),
            (Stream::Found(_), Consumer::NotOurs) => Fate::NotOurs,
            (Stream::Found(_), Consumer::Unknown) => Fate::Unknown,
            (Stream::Found(_), Consumer::Missing(_)) => Fate::Waiting,
            (Stream::Found(_), Consumer::Found(consumer)) => match consumer.progress(*seq) {
                Progress::Waiting(_) => Fate::Waiting,
                Progress::Delivered => Fate::Delivered,
                Progress::Settled => Self::of_settled(facts),
            },
        };
        let needs_records = !matches!(fate, Fate::Waiting | Fate::Delivered | Fate::NotOurs);
        if needs_records && (facts.rows.is_none() || facts.events.is_none()) { Fate::Unknown } else { fate }
    }

    fn of_absent(stream: &StreamFacts, seq: u64) -> Self {
        if seq > stream.last_seq {
            Fate::NotYet
        } else if stream.drops_settled {
            Fate::SettledWithoutTrace
        } else if seq < stream.first_seq {
            Fate::Expired
        } else {
            Fate::Removed
        }
    }

    /// The fate of what is settled and has neither row nor event.
    fn of_settled(facts: &Facts) -> Self {
        if facts.prospect == Prospect::Ignored {
            return Fate::Ignored;
        }
        if let Some(shadow) = &facts.shadow {
            return match shadow.version {
                Some(version) if version == shadow.claimed && shadow.reported_us == facts.received_us => Fate::Applied,
                Some(version) if (version, shadow.reported_us) >= (shadow.claimed, facts.received_us) => {
                    Fate::Overtaken
                }
                _ => Self::of_lost(facts),
            };
        }
        if let Some(command) = &facts.command {
            return match command.acked_us {
                Some(acked_us) if Some(acked_us) == facts.received_us => Fate::Applied,
                // Also one that the device has no command for: an acknowledgement without effect.
                _ if only_counted(facts).next().is_none() => Fate::Overtaken,
                _ => Fate::Counted,
            };
        }
        Self::of_lost(facts)
    }

    fn of_lost(facts: &Facts) -> Self {
        if only_counted(facts).next().is_some() { Fate::Counted } else { Fate::SettledWithoutTrace }
    }
}

/// Its newest event that is about the message, not about its point.
pub(super) fn rejection(facts: &Facts) -> Option<&Event> {
    facts.own_events().find(|event| !is_of_point(event))
}

fn is_of_point(event: &Event) -> bool {
    event.reason == Reason::PointRefused.as_str()
}

fn is_poison(event: &Event) -> bool {
    Reason::ALL.into_iter().any(|reason| reason.is_poison() && reason.as_str() == event.reason)
}

/// What was counted in its minute and is in no quarantine event.
pub(super) fn only_counted(facts: &Facts) -> impl Iterator<Item = &super::Counted> {
    facts.counted.iter().filter(|counted| counted.counted > counted.stored)
}

/// How far its consumer is with it, where it is in its stream.
pub(super) fn progress(facts: &Facts) -> Option<Progress> {
    let (_, seq) = facts.place.as_ref()?;
    match (&facts.consumer, facts.message()) {
        (Consumer::Found(consumer), Some(_)) => Some(consumer.progress(*seq)),
        _ => None,
    }
}

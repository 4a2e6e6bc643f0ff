//! The one sentence at the end: what became of the message, and what to do.

use super::facts::broker::{Progress, Stream, StreamFacts};
use super::facts::device::{Device, Prospect};
use super::facts::stored::{Event, Reprocessing};
use super::facts::{Facts, Points, Question};
use super::fate::{self, Fate, only_counted};
use crate::message::timestamp::to_text as iso;
use crate::message::visible::name;

/// What became of a message, in one sentence.
pub fn summary(facts: &Facts, fate: Fate) -> String {
    let stored = || match facts.row().and_then(|row| row.stored_us) {
        Some(at_us) => format!("stored at {}", iso(at_us)),
        None => "stored".to_owned(),
    };
    let mut text = match fate {
        Fate::Stored => format!("{}, and its point is in InfluxDB", stored()),
        Fate::PointOwed => format!("{}, and its point is owed to InfluxDB: {}", stored(), entry(facts)),
        Fate::PointRefused => format!("{}, and InfluxDB has refused its point: {}", stored(), rejected(facts)),
        Fate::StoredWithoutPoint => format!("{}; {}", stored(), without_point(facts)),
        Fate::StoredNotSettled => {
            format!(
                "{}, and not settled yet: when it is delivered again, its row is there and nothing is doubled",
                stored()
            )
        }
        Fate::Reprocessed => format!("rejected first with {}, sent through again, and {}", reason(facts), stored()),
        Fate::Quarantined => format!("rejected with {}; {}", rejected(facts), now_of_event(facts)),
        Fate::Terminated => {
            format!("terminated with {}, it never comes again by itself; {}", rejected(facts), now_of_event(facts))
        }
        Fate::Mirrored => format!("rejected with {}, and mirrored to raw_events as not accepted", rejected(facts)),
        Fate::Counted => {
            let reasons: Vec<String> = only_counted(facts).map(|counted| name(&counted.reason)).collect();
            format!("settled and not kept: rejections of its minute were only counted, for {}", reasons.join(", "))
        }
        Fate::Waiting => format!("waiting in its stream, {}", waiting(facts)),
        Fate::Delivered => "delivered and not settled yet; if that lasts, /ready and /lag say what holds it".to_owned(),
        Fate::Applied => "applied: what the device reported is in force".to_owned(),
        Fate::Overtaken => format!("settled without effect: {}", overtaken(facts)),
        Fate::Ignored => "acknowledged and ignored: its topic is none of the node's".to_owned(),
        Fate::SettledWithoutTrace => without_trace(facts),
        Fate::Expired => {
            "no longer in its stream, which begins later, and neither stored nor in the quarantine".to_owned()
        }
        Fate::NotYet => "not there yet: its stream ends earlier".to_owned(),
        Fate::Removed => "removed from its stream, and neither stored nor in the quarantine".to_owned(),
        Fate::NoStream => "not found: there is no such stream, and PostgreSQL has nothing of it".to_owned(),
        Fate::NotOurs => "not for the node: it reads no stream of this name".to_owned(),
        Fate::NoTrace => no_trace(facts),
        Fate::Unknown => "not known: what would tell could not be asked, as the steps say".to_owned(),
    };
    if matches!(fate, Fate::Waiting | Fate::Delivered | Fate::Counted)
        && let Some(prospect) = prospect(&facts.prospect)
    {
        text += &format!("; {prospect}");
    }
    if matches!(fate, Fate::Stored | Fate::Reprocessed) && !facts.backfills.is_empty() {
        text += ", where a backfill has written it again";
    }
    if facts.is_of_former_stream() && facts.row().or(facts.rows.iter().flatten().next()).is_some() {
        text += "; today's stream of that name was made later";
    }
    if facts.is_incomplete() && fate != Fate::Unknown {
        text += "; not everybody could be asked, as the steps say";
    }
    format!("{}: {text}.", subject(facts))
}

fn without_trace(facts: &Facts) -> String {
    match &facts.stream {
        Stream::Found(StreamFacts { drops_settled: true, .. }) => {
            "settled, and dropped by its stream, which keeps nothing that is settled; of a shadow report, an acknowledgement and what \
             is ignored no record is left"
        }
        _ => "settled, and neither a row nor a quarantine event of it is left: it was counted only, or removed since",
    }
    .to_owned()
}

/// Which message it is.
fn subject(facts: &Facts) -> String {
    match (&facts.place, &facts.question) {
        (Some((stream, seq)), _) => format!("Message {seq} of {}", name(stream)),
        (None, Question::Place { stream, seq }) => format!("Message {seq} of {}", name(stream)),
        (None, Question::Event(id)) => format!("Quarantine event {id}"),
        (None, Question::Device { tenant, device, seq }) => {
            let which = seq.map_or_else(String::new, |seq| format!(" with seq {seq}"));
            format!("Device {} of {}, message{which}", name(device), name(tenant))
        }
    }
}

fn no_trace(facts: &Facts) -> String {
    match (&facts.device, &facts.question) {
        (_, Question::Event(_)) => "the quarantine has no event of this id".to_owned(),
        (Device::Unregistered { .. }, _) => "no trace, and the device is not registered".to_owned(),
        _ => "no trace of it in the streams, in raw_events or in the quarantine; a longer --since looks further back"
            .to_owned(),
    }
}

fn newest(facts: &Facts) -> Option<&Event> {
    fate::rejection(facts).or_else(|| facts.own_events().next())
}

fn reason(facts: &Facts) -> String {
    newest(facts).map_or_else(|| "an unknown reason".to_owned(), |event| name(&event.reason))
}

fn rejected(facts: &Facts) -> String {
    let Some(event) = newest(facts) else { return reason(facts) };
    let detail = event.detail.as_deref().filter(|detail| !detail.is_empty());
    let detail = detail.map_or_else(String::new, |detail| format!(" ({})", name(detail)));
    let at = event.rejected_us.map_or_else(String::new, |at_us| format!(" at {}", iso(at_us)));
    format!("{}{detail}{at}, quarantine event {}", name(&event.reason), event.id)
}

/// What would become of a quarantined message, with the command that sends it through again.
fn now_of_event(facts: &Facts) -> String {
    let Some(event) = newest(facts) else { return "nothing more is known of it".to_owned() };
    let again = if event.replays > 0 { " --again" } else { "" };
    let command = |trust| format!("`ingest-node quarantine replay --event {}{again}{trust}`", event.id);
    match (&facts.prospect, &event.reprocessing) {
        (_, Reprocessing::Impossible(why)) => format!("it can't be sent through again: {why}"),
        (Prospect::Passes, Reprocessing::Possible) => format!("it would pass now: {}", command("")),
        (Prospect::Passes, Reprocessing::NeedsTrust(_)) => {
            format!("it would pass now, if you vouch for its sender: {}", command(" --trust"))
        }
        (prospect, _) => {
            self::prospect(prospect).unwrap_or_else(|| "whether it would pass now is not known".to_owned())
        }
    }
}

fn prospect(prospect: &Prospect) -> Option<String> {
    match prospect {
        Prospect::Unknown | Prospect::Ignored => None,
        Prospect::Passes => Some("it would pass now".to_owned()),
        Prospect::Provisions => Some("its device would be registered now, where a subscription has room".to_owned()),
        Prospect::Rejected { reason, .. } => Some(format!("it would be rejected now with {reason}")),
    }
}

fn waiting(facts: &Facts) -> String {
    match fate::progress(facts) {
        Some(Progress::Waiting(before)) => format!("behind {before} messages"),
        _ => "for a node: its consumer is not made yet".to_owned(),
    }
}

fn entry(facts: &Facts) -> String {
    let mut entries = facts.entries.iter().flatten();
    entries.next().map_or_else(String::new, |entry| format!("outbox entry {} is open", entry.id))
}

fn without_point(facts: &Facts) -> String {
    match facts.points {
        Points::Nowhere => "no InfluxDB is configured".to_owned(),
        _ => "messages of its type make no point".to_owned(),
    }
}

fn overtaken(facts: &Facts) -> String {
    match (&facts.shadow, &facts.command) {
        (Some(shadow), _) => {
            let version = shadow.version.unwrap_or_default();
            format!("version {version} is in force, and this report is version {}", shadow.claimed)
        }
        (None, Some(command)) => match &command.status {
            None => "the device has no such command".to_owned(),
            Some(status) => format!("the command is {} by another acknowledgement", name(status)),
        },
        (None, None) => "another message is in force".to_owned(),
    }
}

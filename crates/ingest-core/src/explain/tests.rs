use super::*;
use crate::message::rejection::Reason;

const RECEIVED: i64 = 1_795_219_200_000_000;

fn facts() -> Facts {
    let place = ("TELEMETRY".to_owned(), 120);
    let question = Question::Place { stream: place.0.clone(), seq: place.1 };
    let message = MessageFacts { received_us: RECEIVED, subject: "telemetry.acme.dev-1".to_owned(), bytes: 412 };
    Facts {
        place: Some(place),
        received_us: Some(RECEIVED),
        stream: stream(Message::Present(message)),
        consumer: consumer(200, 200),
        rows: Some(vec![]),
        events: Some(vec![]),
        entries: Some(vec![]),
        ..Facts::of(question, Points::BestEffort)
    }
}

fn stream(message: Message) -> Stream {
    Stream::Found(StreamFacts {
        created_us: RECEIVED - 9,
        first_seq: 100,
        last_seq: 300,
        max_age_secs: 3_600,
        drops_settled: false,
        message,
    })
}

fn consumer(ack_floor: u64, delivered: u64) -> Consumer {
    Consumer::Found(ConsumerFacts {
        name: "ingest-workers",
        created_us: RECEIVED - 5,
        delivered,
        ack_floor,
        ack_pending: delivered - ack_floor,
        pending: 300 - delivered,
        redelivered: 3,
        max_deliver: 0,
    })
}

fn row() -> Row {
    Row {
        received_us: RECEIVED,
        stored_us: Some(RECEIVED + 1_000),
        accepted: true,
        tenant: Some("acme".to_owned()),
        device: Some("dev-1".to_owned()),
        msg_type: "telemetry".to_owned(),
        seq: Some(7),
    }
}

fn event(reason: Reason) -> Event {
    Event {
        id: 12,
        rejected_us: Some(RECEIVED + 500),
        received_us: Some(RECEIVED),
        reason: reason.as_str().to_owned(),
        detail: Some("site\u{1b}[2J".to_owned()),
        replayed_us: None,
        replays: 0,
        reprocessing: Reprocessing::Possible,
    }
}

fn with_row(row: Row) -> Facts {
    Facts { rows: Some(vec![row]), ..facts() }
}

fn with_event(event: Event) -> Facts {
    Facts { events: Some(vec![event]), prospect: Prospect::Passes, ..facts() }
}

fn entry() -> Entry {
    let (created_us, retry_us) = (RECEIVED + 1_000, RECEIVED + 60_000_000);
    Entry { id: 3, lines: 40, created_us, attempts: 2, retry_us, is_owned: false }
}

fn counted(stored: u64) -> Counted {
    Counted { tenant: "acme".to_owned(), reason: "RATE_LIMITED".to_owned(), counted: 5, stored }
}

fn shadow(version: i64, reported_us: i64) -> Facts {
    Facts { shadow: Some(Shadow { claimed: 4, version: Some(version), reported_us: Some(reported_us) }), ..facts() }
}

fn command(status: Option<&str>, acked_us: Option<i64>) -> Facts {
    let status = status.map(str::to_owned);
    Facts { command: Some(Command { id: "c-1".to_owned(), status, acked_us }), ..facts() }
}

fn away(source: Source) -> Vec<Unknown> {
    vec![Unknown { source, why: "connection refused".to_owned(), is_away: true }]
}

/// Every fate by example: the facts, the fate, and what the sentence must say.
fn examples() -> Vec<(Facts, Fate, &'static str)> {
    let owed = Facts { entries: Some(vec![entry()]), ..with_row(row()) };
    let refused = Facts { rows: Some(vec![row()]), ..with_event(event(Reason::PointRefused)) };
    let reprocessed = Facts {
        rows: Some(vec![row()]),
        ..with_event(Event { replays: 2, replayed_us: Some(RECEIVED + 900), ..event(Reason::SiteMismatch) })
    };
    let mirrored =
        Facts { rows: Some(vec![Row { accepted: false, ..row() }]), ..with_event(event(Reason::DeviceRevoked)) };
    let absent = Facts { received_us: None, stream: stream(Message::Absent), ..facts() };
    let dropped = Facts {
        stream: match stream(Message::Absent) {
            Stream::Found(found) => Stream::Found(StreamFacts { drops_settled: true, ..found }),
            other => other,
        },
        ..absent.clone()
    };
    let numbered = |seq| Facts { place: Some(("TELEMETRY".to_owned(), seq)), ..absent.clone() };
    let device = Question::Device { tenant: "acme".to_owned(), device: "dev-9".to_owned(), seq: Some(7) };
    let unregistered =
        Device::Unregistered { tenant: "acme".to_owned(), device: "dev-9".to_owned(), tenant_is_registered: true };
    let nothing = Facts { rows: Some(vec![]), events: Some(vec![]), ..Facts::of(device, Points::BestEffort) };
    vec![
        (with_row(row()), Fate::Stored, "stored at 2026-11-21T00:00:00.001000Z, and its point is in InfluxDB"),
        (owed, Fate::PointOwed, "owed to InfluxDB: outbox entry 3 is open"),
        (refused, Fate::PointRefused, "InfluxDB has refused its point: POINT_REFUSED"),
        (with_row(Row { msg_type: "alarm".to_owned(), ..row() }), Fate::StoredWithoutPoint, "make no point"),
        (Facts { points: Points::Nowhere, ..with_row(row()) }, Fate::StoredWithoutPoint, "no InfluxDB is configured"),
        (Facts { consumer: consumer(0, 0), ..with_row(row()) }, Fate::StoredNotSettled, "nothing is doubled"),
        (
            reprocessed,
            Fate::Reprocessed,
            "rejected first with SITE_MISMATCH_REGISTRY_VS_PAYLOAD, sent through again, and stored",
        ),
        (with_event(event(Reason::SiteMismatch)), Fate::Quarantined, "`ingest-node quarantine replay --event 12`"),
        (with_event(event(Reason::ProcessingFailed)), Fate::Terminated, "it never comes again by itself"),
        (mirrored, Fate::Mirrored, "mirrored to raw_events as not accepted"),
        (Facts { counted: vec![counted(0)], ..facts() }, Fate::Counted, "only counted, for RATE_LIMITED"),
        (Facts { counted: vec![counted(5)], ..facts() }, Fate::SettledWithoutTrace, "neither a row nor"),
        (Facts { consumer: consumer(90, 95), ..facts() }, Fate::Waiting, "behind 29 messages"),
        (Facts { consumer: Consumer::Missing("ingest-workers"), ..facts() }, Fate::Waiting, "not made yet"),
        (Facts { consumer: consumer(90, 150), ..facts() }, Fate::Delivered, "delivered and not settled yet"),
        (shadow(4, RECEIVED), Fate::Applied, "in force"),
        (shadow(5, RECEIVED - 1), Fate::Overtaken, "version 5 is in force, and this report is version 4"),
        (command(Some("delivered"), Some(RECEIVED)), Fate::Applied, "in force"),
        (command(Some("delivered"), Some(RECEIVED - 1)), Fate::Overtaken, "by another acknowledgement"),
        (command(None, None), Fate::Overtaken, "no such command"),
        (Facts { prospect: Prospect::Ignored, ..facts() }, Fate::Ignored, "acknowledged and ignored"),
        (dropped, Fate::SettledWithoutTrace, "which keeps nothing that is settled"),
        (numbered(7), Fate::Expired, "begins later"),
        (numbered(301), Fate::NotYet, "ends earlier"),
        (numbered(200), Fate::Removed, "removed from its stream"),
        (Facts { stream: Stream::Missing, ..absent.clone() }, Fate::NoStream, "no such stream"),
        (Facts { consumer: Consumer::NotOurs, ..facts() }, Fate::NotOurs, "reads no stream of this name"),
        (nothing.clone(), Fate::NoTrace, "no trace of it"),
        (Facts { device: unregistered, ..nothing }, Fate::NoTrace, "the device is not registered"),
        (Facts { rows: None, events: None, unknown: away(Source::Postgres), ..facts() }, Fate::Unknown, "not known"),
        (
            Facts { rows: None, events: None, consumer: consumer(90, 95), ..facts() },
            Fate::Waiting,
            "behind 29 messages",
        ),
        (Facts { stream: Stream::Unknown, unknown: away(Source::Stream), ..facts() }, Fate::Unknown, "not known"),
    ]
}

#[test]
fn every_fate_has_an_example_and_its_sentence() {
    let examples = examples();
    for (facts, fate, said) in &examples {
        assert_eq!(Fate::of(facts), *fate, "{facts:?}");
        let sentence = summary(facts, *fate);
        assert!(sentence.contains(said), "{sentence} does not say {said}");
        assert!(sentence.ends_with('.') && !sentence.contains('\n') && !sentence.contains('\u{1b}'), "{sentence}");
        assert!(steps(facts).iter().all(|step| !step.text.contains('\u{1b}')), "{:?}", steps(facts));
    }
    let mut codes: Vec<&str> = examples.iter().map(|(_, fate, _)| fate.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 23, "a fate without an example: {codes:?}");
}

#[test]
fn steps_are_in_the_order_of_time_and_what_holds_now_comes_last() {
    let facts = Facts {
        rows: Some(vec![row()]),
        entries: Some(vec![entry()]),
        ..with_event(Event { replays: 1, replayed_us: Some(RECEIVED + 900), ..event(Reason::SiteMismatch) })
    };
    let steps = steps(&facts);
    let sources: Vec<&str> = steps.iter().map(|step| step.source.as_str()).collect();
    assert_eq!(
        sources,
        ["stream", "postgresql", "postgresql", "postgresql", "outbox", "consumer", "checks"],
        "{steps:?}"
    );
    assert!(steps.windows(2).all(|pair| pair[0].at_us.unwrap_or(i64::MAX) <= pair[1].at_us.unwrap_or(i64::MAX)));
    assert_eq!((steps[0].when(), steps[6].when()), ("2026-11-21T00:00:00.000000Z".to_owned(), "now".to_owned()));
}

#[test]
fn what_a_former_stream_of_the_name_had_is_no_record_of_this_message() {
    let former = Row { received_us: RECEIVED - 100, ..row() };
    let facts = Facts { consumer: consumer(90, 95), ..with_row(former.clone()) };
    assert_eq!(Fate::of(&facts), Fate::Waiting);
    assert!(steps(&facts).iter().any(|step| step.text.contains("which a former stream received")));
    // Asked for by its own time, the row is the record, whatever has its number now.
    let facts = Facts { received_us: Some(RECEIVED - 100), stream: stream(Message::Absent), ..with_row(former) };
    let fate = Fate::of(&facts);
    assert_eq!(fate, Fate::Stored);
    assert!(summary(&facts, fate).contains("today's stream of that name was made later"));
}

#[test]
fn the_command_says_what_sending_it_through_again_needs() {
    let needs_trust =
        Event { reprocessing: Reprocessing::NeedsTrust("no proof"), replays: 1, ..event(Reason::TokenMissing) };
    let said = |facts: &Facts| summary(facts, Fate::of(facts));
    assert!(said(&with_event(needs_trust)).contains("`ingest-node quarantine replay --event 12 --again --trust`"));
    let bytes = Event { reprocessing: Reprocessing::Impossible("kept as bytes"), ..event(Reason::InvalidPayload) };
    assert!(said(&with_event(bytes)).contains("it can't be sent through again: kept as bytes"));
    let rejected = Prospect::Rejected { reason: Reason::DeviceRevoked, detail: String::new() };
    let again = Facts { prospect: rejected, ..with_event(event(Reason::SiteMismatch)) };
    assert!(said(&again).contains("it would be rejected now with DEVICE_REVOKED"));
}

#[test]
fn a_source_that_is_away_is_named_and_the_others_are_told() {
    let facts = Facts { stream: Stream::Unknown, unknown: away(Source::Stream), ..with_row(row()) };
    assert_eq!(Fate::of(&facts), Fate::Stored);
    assert!(facts.is_incomplete() && facts.has_trace());
    assert!(summary(&facts, Fate::Stored).contains("not everybody could be asked"));
    assert!(steps(&facts).iter().any(|step| step.text == "unknown: connection refused"));
}

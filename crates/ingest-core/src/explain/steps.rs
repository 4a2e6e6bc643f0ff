//! The steps of a message: what the facts say, in the order in which it happened; what holds now comes last.

use super::facts::Facts;
use super::facts::broker::{Consumer, Message, Progress, Stream, StreamFacts};
use super::facts::device::{Device, Prospect};
use super::facts::gaps::Gaps;
use super::facts::stored::{Command, Event, Reprocessing, Row, Shadow};
use super::fate::{self, only_counted};
use super::step::{Source, Step};
use crate::message::timestamp::to_text as iso;
use crate::message::visible::{detail, name};

/// What the facts say, step by step.
pub fn steps(facts: &Facts) -> Vec<Step> {
    let mut steps = Steps(Vec::new());
    steps.of_stream(facts);
    steps.of_copies(facts);
    facts.rows.iter().flatten().for_each(|row| steps.of_row(facts, row));
    facts.events.iter().flatten().for_each(|event| steps.of_event(facts, event));
    steps.of_counters(facts);
    steps.of_outbox(facts);
    facts.shadow.iter().for_each(|shadow| steps.of_shadow(shadow));
    facts.command.iter().for_each(|command| steps.of_command(command));
    steps.of_consumer(facts);
    steps.of_device(&facts.device);
    facts.gaps.iter().filter_map(Gaps::text).for_each(|text| steps.now(Source::Postgres, text));
    steps.of_prospect(&facts.prospect);
    for unknown in &facts.unknown {
        steps.now(unknown.source, format!("unknown: {}", detail(&unknown.why)));
    }
    // The sort is stable: what happened at the same time stays in the order of the pipeline.
    steps.0.sort_by_key(|step| step.at_us.unwrap_or(i64::MAX));
    steps.0
}

struct Steps(Vec<Step>);

impl Steps {
    fn at(&mut self, at_us: Option<i64>, source: Source, text: String) {
        self.0.push(Step { at_us, source, text });
    }

    fn now(&mut self, source: Source, text: impl Into<String>) {
        self.at(None, source, text.into());
    }

    fn of_stream(&mut self, facts: &Facts) {
        let Some((stream, seq)) = &facts.place else { return };
        let shown = name(stream);
        match &facts.stream {
            Stream::Unknown => {}
            Stream::Missing => self.now(Source::Stream, format!("there is no stream {shown}")),
            Stream::Found(found) => match &found.message {
                Message::Unknown => {}
                Message::Present(message) => {
                    let (bytes, subject) = (message.bytes, name(&message.subject));
                    let text = format!("{shown} took message {seq} on {subject}, {bytes} bytes");
                    self.at(Some(message.received_us), Source::Stream, text);
                }
                Message::Absent => self.now(Source::Stream, absent(found, &shown, *seq)),
            },
        }
        if let Stream::Found(found) = &facts.stream
            && facts.is_of_former_stream()
        {
            let text = format!("today's stream {shown} was made: what came before was of another one of this name");
            self.at(Some(found.created_us), Source::Stream, text);
        }
    }

    fn of_copies(&mut self, facts: &Facts) {
        if let (Some((stream, seq)), Some((of, original))) = (&facts.copy, &facts.place) {
            let (stream, of) = (name(stream), name(of));
            let text = format!("message {seq} of {stream} is message {original} of {of}, sent through again");
            self.now(Source::Stream, text);
        }
        for (stream, seq) in &facts.others {
            self.now(Source::Postgres, format!("also message {seq} of {}", name(stream)));
        }
    }

    fn of_row(&mut self, facts: &Facts, row: &Row) {
        let kind = name(&row.msg_type);
        let seq = row.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let mut text = match row.accepted {
            true => format!("stored in raw_events: {kind}, seq {seq}"),
            false => format!("mirrored to raw_events as not accepted: {kind}, seq {seq}"),
        };
        if Some(row.received_us) != facts.received_us {
            text +=
                &format!("; a message of the same number, which a former stream received at {}", iso(row.received_us));
        }
        self.at(row.stored_us, Source::Postgres, text);
    }

    fn of_event(&mut self, facts: &Facts, event: &Event) {
        let Event { id, reason, .. } = event;
        let why = event.detail.as_deref().filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(" ({})", detail(why)));
        let mut text = format!("rejected: {}{why}, quarantine event {id}", name(reason));
        if event.received_us != facts.received_us {
            text += "; a message of the same number of a former stream";
        }
        self.at(event.rejected_us, Source::Postgres, text);
        if event.replays > 0 {
            let text = format!("event {id} was sent through again, {}", times(u64::from(event.replays)));
            self.at(event.replayed_us, Source::Postgres, text);
        }
        match event.reprocessing {
            Reprocessing::Possible => {}
            Reprocessing::NeedsTrust(why) | Reprocessing::Impossible(why) => {
                self.now(Source::Postgres, format!("event {id} can't simply be sent through again: {why}"));
            }
        }
    }

    fn of_counters(&mut self, facts: &Facts) {
        if facts.row().is_some() || facts.own_events().next().is_some() {
            return;
        }
        for counted in only_counted(facts) {
            let (tenant, reason, only) =
                (name(&counted.tenant), name(&counted.reason), counted.counted - counted.stored);
            let text = format!("in its minute {only} rejections of {tenant} were counted and not kept: {reason}");
            self.at(facts.received_us, Source::Postgres, text);
        }
    }

    fn of_outbox(&mut self, facts: &Facts) {
        for entry in facts.entries.iter().flatten() {
            let (id, lines, attempts) = (entry.id, entry.lines, times(u64::from(entry.attempts)));
            let next = if entry.is_owned {
                "a node works on it".to_owned()
            } else {
                format!("redelivered from {} on", iso(entry.retry_us))
            };
            let text = format!("entry {id} covers its point, {lines} points in all, failed {attempts}; {next}");
            self.at(Some(entry.created_us), Source::Outbox, text);
        }
        for backfill in &facts.backfills {
            let id = backfill.id;
            let text = match backfill.finished_us {
                Some(_) => format!("backfill {id} has written its point again"),
                None => format!("backfill {id}, which is not at its end, has written its point again"),
            };
            self.at(Some(backfill.finished_us.unwrap_or(backfill.at_us)), Source::Outbox, text);
        }
    }

    fn of_shadow(&mut self, Shadow { claimed, version, reported_us }: &Shadow) {
        let text = match version {
            None => format!("the device has no reported state; this report is version {claimed}"),
            Some(version) => {
                format!("the reported state in force is version {version}; this report is version {claimed}")
            }
        };
        self.at(*reported_us, Source::Postgres, text);
    }

    fn of_command(&mut self, Command { id, status, acked_us }: &Command) {
        let id = name(id);
        match status {
            None => self.now(Source::Postgres, format!("the device has no command {id}")),
            Some(status) => {
                let text = format!("command {id} is {}, acknowledged by the message of this time", name(status));
                let open = format!("command {id} is {}, not acknowledged", name(status));
                self.at(*acked_us, Source::Postgres, if acked_us.is_some() { text } else { open });
            }
        }
    }

    fn of_consumer(&mut self, facts: &Facts) {
        match &facts.consumer {
            Consumer::Unknown => {}
            Consumer::NotOurs => self.now(Source::Consumer, "the node reads no stream of this name"),
            Consumer::Missing(consumer) => {
                self.now(
                    Source::Consumer,
                    format!("there is no consumer {consumer}: no node has bound to the stream yet"),
                );
            }
            Consumer::Found(consumer) => {
                let name = consumer.name;
                let text = match fate::progress(facts) {
                    None => return,
                    Some(Progress::Waiting(before)) => format!("{name} has not delivered it; {before} are before it"),
                    Some(Progress::Delivered) => format!(
                        "{name} has delivered it, and not all up to it is settled: {} are open, of these {} were \
                         delivered more than once{}",
                        consumer.ack_pending,
                        consumer.redelivered,
                        most_deliveries(consumer.max_deliver)
                    ),
                    Some(Progress::Settled) => format!("{name} has settled it"),
                };
                self.now(Source::Consumer, text);
            }
        }
    }

    fn of_device(&mut self, device: &Device) {
        match device {
            Device::Unknown => {}
            Device::Unregistered { tenant, device, tenant_is_registered } => {
                let beside = if *tenant_is_registered {
                    "; other devices of its tenant are"
                } else {
                    ", and none of its tenant is"
                };
                let text = format!("device {} of {} is not registered{beside}", name(device), name(tenant));
                self.now(Source::Registry, text);
            }
            Device::Registered(device) => {
                let (id, tenant, site, status) =
                    (name(&device.device), name(&device.tenant), name(&device.site), name(&device.status));
                let subscription = device.subscription.as_deref().map_or("none".to_owned(), name);
                let token = if device.has_token { "has a token" } else { "has no token" };
                let changed = device.updated_us.map_or_else(String::new, |at| format!(", last changed {}", iso(at)));
                let text = format!(
                    "device {id} of {tenant} is {status} at site {site}, {token}, subscription {subscription}{changed}"
                );
                self.now(Source::Registry, text);
            }
        }
    }

    fn of_prospect(&mut self, prospect: &Prospect) {
        let text = match prospect {
            Prospect::Unknown => return,
            Prospect::Passes => "it would pass now".to_owned(),
            Prospect::Provisions => "its device would be registered now, where a subscription has room".to_owned(),
            Prospect::Rejected { reason, detail: why } if why.is_empty() => {
                format!("it would be rejected now: {reason}")
            }
            Prospect::Rejected { reason, detail: why } => {
                format!("it would be rejected now: {reason} ({})", detail(why))
            }
            Prospect::Ignored => "it would be acknowledged and ignored now: its topic is none of the node's".to_owned(),
        };
        self.now(Source::Checks, text);
    }
}

fn absent(stream: &StreamFacts, shown: &str, seq: u64) -> String {
    let StreamFacts { first_seq, last_seq, max_age_secs, drops_settled, .. } = *stream;
    if seq > last_seq {
        return format!("{shown} ends at {last_seq}: it has no message {seq} yet");
    }
    if drops_settled {
        return format!("{shown} keeps nothing that is settled: message {seq} is no longer in it");
    }
    if seq < first_seq {
        let limit = match max_age_secs {
            0 => String::new(),
            secs => format!(" (it drops messages that are {secs} s old)"),
        };
        return format!("{shown} begins at {first_seq}: message {seq} is no longer in it{limit}");
    }
    format!("message {seq} was removed from {shown}, which has {first_seq} to {last_seq}")
}

fn most_deliveries(most: u64) -> String {
    if most == 0 { String::new() } else { format!("; the consumer delivers a message {} at most", times(most)) }
}

/// `once`, `5 times`.
pub(super) fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

//! Watches the streams that the gateway publishes to: whether they are there, answer, and have room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use async_nats::Client;
use async_nats::jetstream::{self, stream};
use slog::{info, warn};

use super::streams::Streams;
use crate::delivery::Lane;
use crate::message::Drain;
use crate::nats::permissions::Permissions;
use crate::nats::provision::consumer_info;
use crate::runtime::readiness::Condition;
use crate::runtime::spawn::SpawnContext;
use ingest_core::flow::permission::Operation;
use ingest_core::flow::space::Holding;
use ingest_core::message::intake::IntakeStream;

/// How often the streams are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Bound on one stream's answer.
const BOUND: Duration = Duration::from_secs(2);
/// A stream whose state the server does not tell is asked about again so much later: each time is an entry in its log.
const DENIED_REST: Duration = Duration::from_secs(300);
/// The remark about streams that take nothing, while the gateway is ready.
const REMARK: &str = "streams";

/// What a stream watch is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The connection that publishes.
    pub client: Client,
    /// What its server has denied.
    pub permissions: Arc<Permissions>,
    /// Gets what the looks show.
    pub streams: Arc<Streams>,
}

/// Looks at the streams every few seconds. While one is missing, silent or full nothing is taken for it; while that is the one of
/// the telemetry, the gateway is not ready.
pub(crate) struct StreamWatch {
    parts: Parts,
    jetstream: jetstream::Context,
    looking: bool,
    /// Streams that are not asked about before a moment.
    rests: [Option<Instant>; IntakeStream::ALL.len()],
}

/// What a look at a stream has shown.
enum Look {
    /// It takes messages; up to so many bytes, where that is positive.
    Takes(i64),
    /// Why it takes none.
    Trouble(String),
    /// A gateway that may do nothing but publish can't look: each PubAck tells.
    Denied,
}

impl StreamWatch {
    /// A watch that knows nothing yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new().timeout(BOUND).build(parts.client.clone());
        Self { parts, jetstream, looking: false, rests: [None; IntakeStream::ALL.len()] }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (jetstream, permissions) = (self.jetstream.clone(), self.parts.permissions.clone());
        let now = Instant::now();
        let due = IntakeStream::ALL.map(|stream| self.rests[stream as usize].is_none_or(|until| until <= now));
        let looked = async move {
            let mut looks = Vec::new();
            for (stream, _) in IntakeStream::ALL.into_iter().zip(due).filter(|(_, is_due)| *is_due) {
                looks.push((stream, examine(&jetstream, &permissions, stream).await));
            }
            looks
        };
        ctx.spawn(looked.into_actor(self).map(|looks, watch, _| {
            watch.looking = false;
            watch.conclude(looks);
            watch.parts.spawn.actor_guard.progress();
        }));
    }

    fn conclude(&mut self, looks: Vec<(IntakeStream, Look)>) {
        let SpawnContext { readiness, log, .. } = &self.parts.spawn;
        let mut trouble = Vec::new();
        for (stream, look) in looks {
            self.rests[stream as usize] = matches!(look, Look::Denied).then(|| Instant::now() + DENIED_REST);
            let (max_message_bytes, why) = match look {
                Look::Takes(max_message_bytes) => (max_message_bytes, None),
                Look::Denied => (0, None),
                Look::Trouble(why) => (0, Some(why)),
            };
            self.parts.streams.set_max_message_bytes(stream, max_message_bytes);
            let took = self.parts.streams.set(stream, why.is_none());
            match &why {
                None if !took => info!(log, "the stream takes messages"; "stream" => stream.name()),
                Some(why) if took => {
                    warn!(log, "the stream does not take messages"; "stream" => stream.name(), "why" => why)
                }
                _ => {}
            }
            trouble.extend(why);
        }
        let why = trouble.join("; ");
        match self.parts.streams.takes(IntakeStream::Telemetry) {
            true => readiness.up(Condition::Streams),
            false => readiness.down(Condition::Streams, why.clone()),
        }
        match trouble.is_empty() || !self.parts.streams.takes(IntakeStream::Telemetry) {
            true => readiness.clear_message(REMARK),
            false => readiness.set_message(REMARK, why),
        }
    }
}

/// Whether a stream is there and has room.
async fn examine(jetstream: &jetstream::Context, permissions: &Permissions, stream: IntakeStream) -> Look {
    let (name, began) = (stream.name(), Instant::now());
    let Some(lane) = Lane::of_stream(name) else { return Look::Trouble(format!("stream {name}: no lane reads it")) };
    let is_denied = || permissions.denied(Operation::Api, lane).is_some_and(|denial| denial.at >= began);
    let trouble = |why: String| match is_denied() {
        true => Look::Denied,
        false => Look::Trouble(format!("stream {name}{why}")),
    };
    let info = match tokio::time::timeout(BOUND, jetstream.get_stream(name)).await {
        Err(_) => return trouble(format!(": no answer within {} s", BOUND.as_secs())),
        Ok(Err(error)) => return trouble(format!(": {error}")),
        Ok(Ok(found)) => found.cached_info().clone(),
    };
    let (config, state) = (&info.config, &info.state);
    let holding = Holding {
        messages: state.messages,
        bytes: state.bytes,
        last_seq: state.last_sequence,
        max_messages: config.max_messages,
        max_bytes: config.max_bytes,
    };
    let takes = Look::Takes(config.max_message_size.into());
    if config.discard != stream::DiscardPolicy::Old || !holding.is_nearly_full() {
        return takes;
    }
    let floor = match consumer_info(jetstream, lane).await {
        Ok(Some(consumer)) => consumer.ack_floor.stream_sequence,
        // Nobody has read anything.
        Ok(None) => 0,
        Err(_) if is_denied() => return takes,
        Err(error) => return trouble(format!(" is full, and what is read of it can't be said: {error}")),
    };
    match holding.is_nearly_full_of_unsettled(floor) {
        true => Look::Trouble(format!("stream {name} is full: another message would drop one that is not read yet")),
        false => takes,
    }
}

impl Actor for StreamWatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock proves that the actor turns.
        self.parts.spawn.actor_guard.busy(true);
        self.look(ctx);
        ctx.run_interval(EVERY, |watch, ctx| watch.look(ctx));
    }
}

impl Handler<Drain> for StreamWatch {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}

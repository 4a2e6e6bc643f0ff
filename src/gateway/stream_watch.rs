//! Watches the streams that the gateway publishes to: whether they are there, answer, and have room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use async_nats::Client;
use async_nats::jetstream::{self, stream};
use slog::{info, warn};

use crate::message::Drain;
use crate::runtime::readiness::Condition;
use crate::runtime::spawn::SpawnContext;
use ingest_core::message::intake::IntakeStream;

/// How often the streams are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Bound on one stream's answer.
const BOUND: Duration = Duration::from_secs(2);
/// Part of its limit, in percent, from which on a stream counts as full that would drop unread messages of others to take
/// a new one.
const FULL_PERCENT: u64 = 95;

/// What a stream watch is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// The connection that publishes.
    pub client: Client,
    /// Whether the streams take messages.
    pub takes: Arc<AtomicBool>,
}

/// Looks at the streams every few seconds; while one is missing, silent or full the gateway is not ready.
pub(crate) struct StreamWatch {
    parts: Parts,
    jetstream: jetstream::Context,
    looking: bool,
}

impl StreamWatch {
    /// A watch that knows nothing yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let jetstream = jetstream::context::ContextBuilder::new().timeout(BOUND).build(parts.client.clone());
        Self { parts, jetstream, looking: false }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let jetstream = self.jetstream.clone();
        let looked = async move {
            let mut trouble = Vec::new();
            for stream in IntakeStream::ALL {
                trouble.extend(examine(&jetstream, stream).await.err());
            }
            trouble
        };
        ctx.spawn(looked.into_actor(self).map(|trouble, watch, _| {
            watch.looking = false;
            watch.conclude(&trouble);
            watch.parts.spawn.actor_guard.progress();
        }));
    }

    fn conclude(&self, trouble: &[String]) {
        let SpawnContext { readiness, log, .. } = &self.parts.spawn;
        let takes = trouble.is_empty();
        let why = trouble.join("; ");
        if self.parts.takes.swap(takes, Ordering::Relaxed) != takes {
            match takes {
                true => info!(log, "the streams take messages"),
                false => warn!(log, "the streams do not take messages"; "why" => &why),
            }
        }
        match takes {
            true => readiness.up(Condition::Streams),
            false => readiness.down(Condition::Streams, why),
        }
    }
}

/// Whether a stream is there and has room.
async fn examine(jetstream: &jetstream::Context, stream: IntakeStream) -> Result<(), String> {
    let name = stream.name();
    let found = tokio::time::timeout(BOUND, jetstream.get_stream(name)).await;
    let found = found.map_err(|_| format!("stream {name}: no answer within {} s", BOUND.as_secs()))?;
    let info = found.map_err(|error| format!("stream {name}: {error}"))?.cached_info().clone();
    let (config, state) = (&info.config, &info.state);
    if config.discard == stream::DiscardPolicy::Old {
        let is_near = |used: u64, most: i64| most > 0 && used >= (most as u64) * FULL_PERCENT / 100;
        if is_near(state.bytes, config.max_bytes) || is_near(state.messages, config.max_messages) {
            return Err(format!("stream {name} is full: another message would drop one that is not read yet"));
        }
    }
    Ok(())
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

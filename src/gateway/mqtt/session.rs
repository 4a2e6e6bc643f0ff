//! The session at the broker: one connection after another, for as long as the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use ingest_core::flow::backoff::Backoff;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::conversation::{End, Purpose, converse};
use super::shared::{BrokerLink, Shared};
use crate::message::Drain;
use crate::runtime::spawn::SpawnContext;

/// Pauses between attempts.
const BACKOFF: Backoff = Backoff::new(100, 10_000);
/// A connection that held for so long was none of a series of failures.
const STABLE: Duration = Duration::from_secs(30);
/// How often it is looked whether the streams take messages again.
const STREAMS_EVERY: Duration = Duration::from_millis(100);
/// Period of the heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a session is made of.
pub(crate) struct Parts {
    /// Its thread, its tie to the supervisor, where it reports.
    pub spawn: SpawnContext,
    /// What it connects.
    pub link: BrokerLink,
}

/// The actor; its thread is that of the connection, too.
pub(crate) struct Session {
    spawn: SpawnContext,
    shared: Arc<Shared>,
    stopped: CancellationToken,
}

impl Session {
    /// A session that is not connected yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { spawn, link } = parts;
        let shared = Shared::new(link, &spawn.metrics, spawn.readiness.clone(), spawn.log.clone());
        Self { spawn, shared: Arc::new(shared), stopped: CancellationToken::new() }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The clock proves that the actor turns.
        self.spawn.actor_guard.busy(true);
        ctx.run_interval(HEARTBEAT, |session, _| session.spawn.actor_guard.progress());
        let (shared, stopped) = (self.shared.clone(), self.stopped.clone());
        let life = async move {
            // However it ends.
            let _stopped = stopped.drop_guard();
            live(&shared).await;
        };
        // A panic in here is the actor's.
        ctx.spawn(life.into_actor(self));
    }
}

impl Handler<Drain> for Session {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.shared.stop.cancel();
        let stopped = self.stopped.clone();
        Box::pin(async move { stopped.cancelled().await })
    }
}

/// One connection after another, until a drain.
async fn live(shared: &Shared) {
    let (mut backoff, mut password) = (BACKOFF, shared.link.config.password.changes());
    while streams_take(shared).await {
        let began = Instant::now();
        let end = connect(shared).await;
        if let End::Drained = end {
            break;
        }
        shared.ended(end.to_string());
        if began.elapsed() >= STABLE {
            backoff.reset();
        }
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = sleep(backoff.next(fastrand::f64())) => {}
            Ok(()) = password.changed() => {}
        }
    }
    shared.metrics.connected.set(0);
}

/// Waits until the streams take messages; `false` once a drain is asked for. Without a connection the broker keeps what comes,
/// and nothing has to be sent a second time.
async fn streams_take(shared: &Shared) -> bool {
    while !shared.stop.is_cancelled() && !shared.link.streams.all_take() {
        shared.waits("waits until the streams take messages");
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = sleep(STREAMS_EVERY) => {}
        }
    }
    !shared.stop.is_cancelled()
}

async fn connect(shared: &Shared) -> End {
    let opened = tokio::select! {
        () = shared.stop.cancelled() => return End::Drained,
        opened = shared.open(false) => opened,
    };
    match opened {
        Ok(connection) => converse(shared, connection, Purpose::Serve).await,
        Err(error) => End::Lost(error.to_string()),
    }
}

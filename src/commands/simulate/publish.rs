//! Publishing, many messages ahead of their acknowledgements.

use std::collections::VecDeque;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture};
use slog::{Logger, info};
use tokio::time::{Instant, sleep_until};

use super::generate::Simulated;
use super::{SimulateError, Summary};
use crate::delivery::Lane;
use crate::nats::connect::{self, Observers};
use crate::nats::provision;
use crate::runtime::signals::Signals;
use crate::source;
use ingest_core::message::rejection::Reason;

/// Messages on their way at once: hides the broker's latency at any rate that it can take.
const WINDOW: usize = 4_096;
/// A broker that is busy with its disk may take its time.
const ACK_BOUND: Duration = Duration::from_secs(30);
/// How often progress is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked whether the nodes are done.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Nodes that settle nothing for so long are not waited for.
const NO_PROGRESS: Duration = Duration::from_secs(5);

/// A connection with the stream at its end.
pub(super) struct Publisher {
    jetstream: Context,
    log: Logger,
}

impl Publisher {
    /// Connects, and makes the stream if it is missing, as the node would.
    pub(super) async fn connect(config: &source::Config, log: &Logger) -> Result<Self, SimulateError> {
        let client = connect::connect(config, "simulate", Observers::default(), log)
            .await
            .map_err(|error| SimulateError::Unavailable(error.to_string()))?;
        let jetstream =
            ContextBuilder::new().timeout(ACK_BOUND).ack_timeout(ACK_BOUND).max_ack_inflight(2 * WINDOW).build(client);
        let stream = provision::stream_config(Lane::TELEMETRY.stream(), Lane::TELEMETRY.subjects());
        jetstream
            .get_or_create_stream(stream)
            .await
            .map_err(|error| SimulateError::Unavailable(format!("the stream can't be made: {error}")))?;
        Ok(Self { jetstream, log: log.clone() })
    }

    /// Publishes until the messages end or a signal comes; `rate` is in messages per second, 0 = no limit.
    pub(super) async fn publish(
        &self,
        messages: impl Iterator<Item = Simulated>,
        rate: u32,
        signals: &mut Signals,
        summary: &mut Summary,
    ) -> Result<Ended, SimulateError> {
        let mut ended = Ended::Complete;
        let mut interrupted = pin!(signals.stop());
        let mut open: VecDeque<(PublishAckFuture, Option<Reason>)> = VecDeque::with_capacity(WINDOW);
        let started = Instant::now();
        let mut next_word = started + PROGRESS_EVERY;
        for (number, message) in messages.enumerate() {
            if rate > 0 {
                let due = started + Duration::from_secs_f64(number as f64 / f64::from(rate));
                if stop_or(&mut interrupted, sleep_until(due)).await.is_none() {
                    ended = Ended::Interrupted;
                    break;
                }
            }
            let Some(sent) =
                stop_or(&mut interrupted, self.jetstream.publish(message.subject, message.body.into())).await
            else {
                ended = Ended::Interrupted;
                break;
            };
            open.push_back((sent.map_err(|error| lost(&error))?, message.expected));
            if open.len() >= WINDOW {
                settle_oldest(&mut open, summary).await?;
            }
            if Instant::now() >= next_word {
                next_word += PROGRESS_EVERY;
                info!(self.log, "publishing"; "published" => summary.published, "rate" => summary.published / started.elapsed().as_secs().max(1));
            }
        }
        while !open.is_empty() {
            settle_oldest(&mut open, summary).await?;
        }
        Ok(ended)
    }

    /// Waits until the nodes have settled what is in the stream, as long as they work on it. Without nodes there is nothing
    /// to wait for.
    pub(super) async fn wait_until_taken(&self, signals: &mut Signals) {
        let mut interrupted = pin!(signals.stop());
        let (mut least, mut since) = (u64::MAX, Instant::now());
        while let Some(open) = self.open_deliveries().await.filter(|open| *open > 0) {
            if open < least {
                (least, since) = (open, Instant::now());
            }
            if since.elapsed() > NO_PROGRESS
                || stop_or(&mut interrupted, sleep_until(Instant::now() + LOOK_EVERY)).await.is_none()
            {
                return;
            }
        }
    }

    /// Messages that the nodes' consumer has not settled; `None` where there is no consumer.
    async fn open_deliveries(&self) -> Option<u64> {
        let stream = self.jetstream.get_stream_no_info(Lane::TELEMETRY.stream()).await.ok()?;
        let info = stream.consumer_info(Lane::TELEMETRY.consumer()).await.ok()?;
        Some(info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX))
    }
}

/// How publishing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Every message is in the stream.
    Complete,
    /// A signal came first.
    Interrupted,
}

/// What `work` answers, unless a signal comes first.
async fn stop_or<T>(interrupted: &mut (impl Future + Unpin), work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // Asked first: work that is always ready at once would never let it be heard.
        biased;
        _ = interrupted => None,
        done = work => Some(done),
    }
}

async fn settle_oldest(
    open: &mut VecDeque<(PublishAckFuture, Option<Reason>)>,
    summary: &mut Summary,
) -> Result<(), SimulateError> {
    if let Some((ack, expected)) = open.pop_front() {
        ack.into_future().await.map_err(|error| lost(&error))?;
        summary.count(expected);
    }
    Ok(())
}

fn lost(error: &impl std::fmt::Display) -> SimulateError {
    SimulateError::Unavailable(format!("the stream did not take a message: {error}"))
}

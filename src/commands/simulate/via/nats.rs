//! Into the stream TELEMETRY.

use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use futures_util::FutureExt;
use slog::Logger;
use tokio::time::{Instant, sleep_until};

use super::send::{Answer, SendOutcome, Way, stop_or};
use crate::commands::simulate::SimulateError;
use crate::commands::simulate::generate::Simulated;
use crate::delivery::Lane;
use crate::nats::connect::{self, Observers};
use crate::nats::{self, provision};
use crate::runtime::signals::Signals;

/// Messages on their way at once: hides the broker's latency at any rate that it can take.
const WINDOW: usize = 4_096;
/// A broker that is busy with its disk may take its time.
const ACK_BOUND: Duration = Duration::from_secs(30);

/// How often it is looked whether the nodes are done.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Nodes that settle nothing for so long are not waited for.
const NO_PROGRESS: Duration = Duration::from_secs(5);

/// A connection with the stream at its end.
pub(crate) struct Nats {
    jetstream: Context,
}

impl Nats {
    /// Connects, and makes the stream if it is missing, as the node would.
    ///
    /// # Errors
    /// NATS can't be reached, or there is no stream.
    pub(crate) async fn connect(config: &nats::config::Config, log: &Logger) -> Result<Self, SimulateError> {
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
        Ok(Self { jetstream })
    }

    /// Waits until the nodes have settled what is in the stream, as long as they work on it. Without nodes there is nothing
    /// to wait for.
    pub(crate) async fn wait_until_taken(&self, signals: &mut Signals) {
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

impl Way for Nats {
    const WINDOW: usize = WINDOW;

    async fn send(&self, message: &Simulated) -> Result<Answer, SimulateError> {
        let (subject, body) = message.publication();
        let sent = self.jetstream.publish(subject, body.into()).await.map_err(|error| lost(&error))?;
        let answer = async { sent.into_future().await.map(|_| SendOutcome::Taken).map_err(|error| lost(&error)) };
        Ok(answer.boxed_local())
    }
}

fn lost(error: &impl std::fmt::Display) -> SimulateError {
    SimulateError::Unavailable(format!("the stream did not take a message: {error}"))
}

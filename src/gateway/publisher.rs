//! The publisher: sends intakes into their streams and tells when a stream has one. Shared by all ways in.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context as JetStream, ErrorCode};
use async_nats::{Client, header};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Config;
use crate::metrics::{GatewayMetrics, Metrics, Publication};
use ingest_core::message::intake::{Intake, IntakeStream};

/// What a message takes of the window's bytes at least: what the client library keeps of it.
const MESSAGE_BYTES: usize = 256;

/// The way in that a message came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// An HTTP request.
    Http,
    /// The MQTT broker.
    Mqtt,
}

/// A stream has the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Since now.
    New,
    /// Since earlier: its message id is known there.
    Duplicate,
}

/// Why a message has no place in the stream, as far as is known: after a timeout it may have.
#[derive(Debug, Error)]
pub(crate) enum NotStored {
    /// The broker did not take it or did not answer.
    #[error(transparent)]
    Refused(#[from] PublishError),
    /// The stream did not acknowledge it in time.
    #[error("no acknowledgement within {0:?}")]
    Unanswered(Duration),
    /// Another stream has taken its subject; that one is read by nobody.
    #[error("stream {found} takes subjects of {}", expected.name())]
    OtherStream {
        /// The stream that should.
        expected: IntakeStream,
        /// The stream that does.
        found: String,
    },
}

impl NotStored {
    /// Whether the message is larger than NATS or its stream takes, so that it is refused whenever it is sent.
    pub(crate) fn is_too_large(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        let said = || error.source()?.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code);
        error.kind() == PublishErrorKind::MaxPayloadExceeded
            || said() == Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
    }
}

/// No room for another message now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("too many messages wait for the stream")]
pub(crate) struct WindowFull;

/// The part of the window for who waits for space: half of it, so that a broker's backlog leaves space for who has to be
/// answered at once.
#[derive(Clone)]
struct Waiting {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    window_bytes: usize,
}

/// Publishes within a window, in messages and in bytes. Cloning shares the window.
#[derive(Clone)]
pub(crate) struct StreamPublisher {
    jetstream: JetStream,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    waiting: Waiting,
    metrics: Arc<GatewayMetrics>,
    window_bytes: usize,
    timeout: Duration,
}

impl StreamPublisher {
    /// A publisher on a connection of its own.
    pub(crate) fn new(config: &Config, client: Client, metrics: &Metrics) -> Self {
        let jetstream = ContextBuilder::new()
            .timeout(config.publish_timeout())
            .ack_timeout(config.publish_timeout())
            // The window is the bound.
            .max_ack_inflight(config.window)
            .backpressure_on_inflight(true)
            .build(client);
        let window_bytes = config.window_bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self {
            jetstream,
            waiting: Waiting {
                messages: Arc::new(Semaphore::new(config.window.div_ceil(2))),
                bytes: Arc::new(Semaphore::new(window_bytes / 2)),
                window_bytes: window_bytes / 2,
            },
            messages: Arc::new(Semaphore::new(config.window)),
            bytes: Arc::new(Semaphore::new(window_bytes)),
            metrics: metrics.gateway.clone(),
            window_bytes,
            timeout: config.publish_timeout(),
        }
    }

    /// Space for a message of so many bytes, where there is some now.
    ///
    /// # Errors
    /// The window is full.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Result<Credit, WindowFull> {
        let message = self.messages.clone().try_acquire_owned().map_err(|_| WindowFull)?;
        let weight = weight(bytes, self.window_bytes);
        let bytes = self.bytes.clone().try_acquire_many_owned(weight).map_err(|_| WindowFull)?;
        Ok(self.credit(message, bytes, None))
    }

    /// Space for a message of so many bytes, as soon as there is some in half the window. `None` only at the end of the
    /// process.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<Credit> {
        let weight = weight(bytes, self.waiting.window_bytes);
        let message = self.waiting.messages.clone().acquire_owned().await.ok()?;
        let half = (message, self.waiting.bytes.clone().acquire_many_owned(weight).await.ok()?);
        let message = self.messages.clone().acquire_owned().await.ok()?;
        let bytes = self.bytes.clone().acquire_many_owned(weight).await.ok()?;
        Some(self.credit(message, bytes, Some(half)))
    }

    fn credit(&self, message: OwnedSemaphorePermit, bytes: OwnedSemaphorePermit, half: Option<Permits>) -> Credit {
        self.metrics.window_messages.inc();
        self.metrics.window_bytes.inc_by(bytes.num_permits() as i64);
        Credit { metrics: self.metrics.clone(), _message: message, bytes, _half: half }
    }

    /// Sends a message; what is sent in order is stored in order. With `message_id`, the stream takes it once within its
    /// duplicate window.
    ///
    /// # Errors
    /// It can't be sent.
    pub(crate) async fn send(
        &self,
        via: Via,
        intake: Intake,
        message_id: Option<&str>,
        credit: Credit,
    ) -> Result<Pending, NotStored> {
        let Intake { stream, subject, envelope } = intake;
        let mut publish = PublishMessage::build().payload(envelope);
        if let Some(id) = message_id {
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_MESSAGE_ID, id);
            publish = publish.headers(headers);
        }
        match self.jetstream.send_publish(subject, publish).await {
            Ok(acknowledgement) => {
                let deadline = Instant::now() + self.timeout;
                Ok(Pending { via, stream, acknowledgement, timeout: self.timeout, deadline, credit })
            }
            Err(error) => {
                count(&self.metrics, via, Publication::Failed);
                Err(error.into())
            }
        }
    }
}

/// Space for a message, and for its bytes.
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// What a message takes of a window of so many bytes; one that is larger takes all of it.
fn weight(bytes: usize, window_bytes: usize) -> u32 {
    (bytes + MESSAGE_BYTES).min(window_bytes) as u32
}

/// Space for one message in the window, until it is dropped.
#[derive(Debug)]
pub(crate) struct Credit {
    metrics: Arc<GatewayMetrics>,
    _message: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
    _half: Option<Permits>,
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.metrics.window_messages.dec();
        self.metrics.window_bytes.dec_by(self.bytes.num_permits() as i64);
    }
}

/// A message on its way.
pub(crate) struct Pending {
    via: Via,
    stream: IntakeStream,
    acknowledgement: PublishAckFuture,
    timeout: Duration,
    deadline: Instant,
    credit: Credit,
}

impl Pending {
    /// Waits for the stream's acknowledgement, until `publish_timeout_secs` after it was sent.
    ///
    /// # Errors
    /// There is none, or one of a stream that is not the right one.
    pub(crate) async fn stored(self) -> Result<Stored, NotStored> {
        let acknowledged = match timeout_at(self.deadline, self.acknowledgement.into_future()).await {
            Err(_) => Err(NotStored::Unanswered(self.timeout)),
            Ok(Ok(ack)) if ack.stream != self.stream.name() => {
                Err(NotStored::OtherStream { expected: self.stream, found: ack.stream })
            }
            Ok(Ok(ack)) if ack.duplicate => Ok(Stored::Duplicate),
            Ok(Ok(_)) => Ok(Stored::New),
            Ok(Err(error)) => Err(error.into()),
        };
        let result = match &acknowledged {
            Ok(Stored::New) => Publication::Stored,
            Ok(Stored::Duplicate) => Publication::Duplicate,
            Err(_) => Publication::Failed,
        };
        count(&self.credit.metrics, self.via, result);
        acknowledged
    }
}

fn count(metrics: &GatewayMetrics, via: Via, result: Publication) {
    let published = match via {
        Via::Http => &metrics.http_published,
        Via::Mqtt => &metrics.mqtt_published,
    };
    published.of(result).inc();
}

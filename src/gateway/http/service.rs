//! What every worker of the server shares: the door, the publisher, the limits.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use bytestring::ByteString;
use parking_lot::Mutex;
use slog::{Logger, warn};

use super::answer;
use super::body::BodyReader;
use super::device::Devices;
use super::failure::Failure;
use super::limits::Limits;
use crate::gateway::Streams;
use crate::gateway::gate::Door;
use crate::gateway::publisher::{NotStored, Pending, Stored, StreamPublisher, Via};
use crate::metrics::{FailureReason, GatewayMetrics, RequestFault};
use crate::runtime::client_address::Networks;
use crate::runtime::error_chain::error_chain;
use crate::runtime::failpoint;
use crate::runtime::log_once::LogOnce;
use ingest_core::message::envelope::Envelope;
use ingest_core::message::intake::{Intake, IntakeStream};
use ingest_core::message::rejection::Reason;
use ingest_core::message::topic::Topic;

/// How long a client is to wait while a stream or the registry does not answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(2);
/// Causes of refused publications that are logged until one succeeds.
const MOST_LOGGED: usize = 16;

/// Shared by all workers.
pub(super) struct Service {
    /// Decides messages.
    pub door: Door,
    /// Reads bodies.
    pub bodies: BodyReader,
    /// Limits of requests.
    pub limits: Limits,
    /// What `/openapi.json` answers.
    pub document: String,
    /// Whose word about their clients is believed.
    pub trusted_proxies: Option<Networks>,
    /// The devices' own endpoints.
    pub devices: Devices,
    /// Sends what has passed.
    pub publisher: StreamPublisher,
    /// Whether the streams take messages.
    pub streams: Arc<Streams>,
    /// The gateway's metrics.
    pub metrics: Arc<GatewayMetrics>,
    /// For what no client can do anything about.
    pub log: Logger,
    /// Causes of refused publications that were logged.
    pub logged: Mutex<LogOnce>,
}

impl Service {
    /// No cause is logged yet.
    pub(super) fn nothing_logged() -> Mutex<LogOnce> {
        Mutex::new(LogOnce::new(MOST_LOGGED))
    }

    /// Whether a message may be decided now: what its stream does not take need not be.
    ///
    /// # Errors
    /// It takes nothing.
    pub(super) fn check_stream(&self, stream: IntakeStream) -> Result<(), Failure> {
        match self.streams.takes(stream) {
            true => Ok(()),
            false => Err(Failure::request(RequestFault::StreamUnavailable, "the stream does not take messages now")),
        }
    }

    /// Sends a message that has passed. With `message_id`, the stream takes it once.
    ///
    /// # Errors
    /// There is no space for it, or it can't be sent.
    pub(super) async fn send(&self, envelope: &Envelope, message_id: Option<&str>) -> Result<Pending, Failure> {
        let Some(topic) = Topic::parse(&envelope.topic) else {
            return Err(Failure::check(Reason::BadTopicFormat, "topic: not of a device"));
        };
        let now_ms = crate::gateway::gate::now_us() / 1_000;
        let intake = Intake::new(&envelope.topic, &topic, &envelope.username, &envelope.payload, now_ms);
        let credit = self.publisher.try_reserve(intake.envelope.len())?;
        self.publisher.send(Via::Http, intake, message_id, credit).await.map_err(|why| self.not_stored(why))
    }

    /// Waits until the stream has a message; whether it had it already.
    ///
    /// # Errors
    /// It did not acknowledge.
    pub(super) async fn stored(&self, pending: Pending) -> Result<bool, Failure> {
        let stored = pending.stored().await.map_err(|why| self.not_stored(why))?;
        failpoint::pass("answer");
        Ok(stored == Stored::Duplicate)
    }

    fn not_stored(&self, why: NotStored) -> Failure {
        let cause = error_chain(&why);
        if self.logged.lock().is_new(&cause) {
            warn!(self.log, "a stream does not take messages; their senders are told to come again"; "error" => cause);
        }
        why.into()
    }

    /// The answer to a request; a failure is counted.
    pub(super) fn answer(&self, result: Result<HttpResponse, Failure>) -> HttpResponse {
        result.unwrap_or_else(|failure| {
            self.count(&failure);
            answer::failed(&failure, self.pause(&failure))
        })
    }

    /// Counts a failure.
    pub(super) fn count(&self, failure: &Failure) {
        self.metrics.refusals.of(failure.reason).inc();
    }

    /// How long a client should wait.
    fn pause(&self, failure: &Failure) -> Duration {
        match failure.reason {
            FailureReason::Check(Reason::RateLimited) => {
                let rps = self.door.settings().map_or(1.0, |settings| settings.limit.rps);
                Duration::from_secs_f64((1.0 / rps).clamp(1.0, 3_600.0))
            }
            FailureReason::Request(RequestFault::StreamUnavailable | RequestFault::RegistryUnavailable) => OUTAGE_PAUSE,
            _ => Duration::ZERO,
        }
    }
}

/// The text of a payload: an object as written, with the token of the header, where there is one, as its last member.
pub(super) fn payload(object: &str, token: Option<&str>) -> ByteString {
    match token {
        Some(token) => ingest_core::http::with_member(object, ingest_core::message::redact::TOKEN_KEY, token).into(),
        None => object.into(),
    }
}

//! Provisioning of streams and consumers: creates those that are missing, binds to those that exist, and never alters one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{self, AckPolicy, IntoConsumerConfig, pull};
use async_nats::jetstream::context::RequestErrorKind;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context, ErrorCode, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slog::{Logger, warn};

use super::config::Config;
use super::fitness::{self, Terms};
use super::server_stream;
use crate::delivery::{Lane, Owner};
use crate::metrics::Metrics;

/// The error where an answer does not arrive.
const NO_ANSWER: &str = "JetStream does not answer in time (is $JS.API permitted, and the inbox?)";
/// Copies of a stream in a cluster that has as many servers.
const CLUSTER_REPLICAS: usize = 3;

/// A lane's stream and consumer, as found.
#[derive(Clone, Debug)]
pub struct Binding {
    /// When the stream was created.
    pub stream_created: time::OffsetDateTime,
    /// When the consumer was created.
    pub created: time::OffsetDateTime,
    /// Its settings.
    pub terms: Terms,
}

impl Binding {
    /// When the consumer was created, Unix microseconds: earlier messages of the stream may have been delivered by another
    /// consumer.
    pub fn created_us(&self) -> i64 {
        (self.created.unix_timestamp_nanos() / 1_000) as i64
    }
}

/// Why a lane can't be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It may work later.
    #[error("{0}")]
    Unavailable(String),
    /// The connection is up and the API does not answer.
    #[error("{0}")]
    Silent(String),
    /// The consumer's settings make correct work impossible; an operator has to change them.
    #[error("{0}")]
    Unfit(String),
}

/// Timeout of a request to the JetStream API.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Finds streams and consumers, and creates those that are missing.
#[derive(Clone)]
pub struct Provisioner {
    context: Context,
    config: Config,
    metrics: Arc<Metrics>,
    log: Logger,
}

/// A failed request to the JetStream API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server's own error.
    #[error("{0}")]
    Server(jetstream::Error),
    /// The request did not reach JetStream.
    #[error("{0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("{}", NO_ANSWER)]
    Silent,
}

impl ApiError {
    fn is(&self, code: ErrorCode) -> bool {
        matches!(self, ApiError::Server(error) if error.error_code() == code)
    }

    fn into_unavailable(self, name: &str) -> BindError {
        let message = format!("{name}: {self}");
        if matches!(self, ApiError::Silent) { BindError::Silent(message) } else { BindError::Unavailable(message) }
    }
}

impl Provisioner {
    /// With the `[nats]` settings.
    pub fn new(client: &Client, config: &Config, metrics: &Arc<Metrics>, log: &Logger) -> Self {
        Self { context: context(client), config: config.clone(), metrics: metrics.clone(), log: log.clone() }
    }

    /// A lane's stream and consumer.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(&self, lane: Lane) -> Result<Binding, BindError> {
        let stream = match lane.owner() {
            Owner::Node => self.stream(lane_stream(lane, &self.config)).await?,
            Owner::Server => self.stream_of_server(lane).await?,
        };
        let info = self.consumer(lane, &stream).await?;
        if let Some(why) = fitness::unfit(&info, lane) {
            return Err(BindError::Unfit(why));
        }
        let terms = fitness::terms(&info, &consumer_config(lane, &self.config), lane);
        Ok(Binding { stream_created: stream.created, created: info.created, terms })
    }

    /// A stream that the server makes by itself: it is never made by the node, and must be as expected.
    async fn stream_of_server(&self, lane: Lane) -> Result<stream::Info, BindError> {
        let name = lane.stream();
        match self.request::<_, stream::Info>(&format!("STREAM.INFO.{name}"), &Nothing {}).await {
            Ok(info) => match server_stream::unfit(&info.config, lane.subjects()) {
                Some(why) => Err(BindError::Unfit(why)),
                None => Ok(info),
            },
            Err(error) if error.is(ErrorCode::STREAM_NOT_FOUND) => {
                Err(BindError::Unavailable(server_stream::missing(name)))
            }
            Err(error) => Err(error.into_unavailable(name)),
        }
    }

    /// As [`Provisioner::stream`]; `None` where the subjects belong to a stream of another name.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn stream_unless_taken(&self, wanted: stream::Config) -> Result<Option<stream::Info>, BindError> {
        let name = wanted.name.clone();
        match self.find_or_create_stream(wanted).await? {
            Err(error) if error.is(ErrorCode::STREAM_SUBJECT_OVERLAP) => Ok(None),
            found => found.map(Some).map_err(|error| error.into_unavailable(&name)),
        }
    }

    /// The stream of this name; created as `wanted` where it is missing, with the configured number of replicas.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn stream(&self, wanted: stream::Config) -> Result<stream::Info, BindError> {
        let name = wanted.name.clone();
        self.find_or_create_stream(wanted).await?.map_err(|error| error.into_unavailable(&name))
    }

    /// The outer error: the stream is missing and the node may not create it.
    async fn find_or_create_stream(&self, wanted: stream::Config) -> Result<Result<stream::Info, ApiError>, BindError> {
        let name = wanted.name.clone();
        let info = format!("STREAM.INFO.{name}");
        match self.request(&info, &Nothing {}).await {
            Err(error) if error.is(ErrorCode::STREAM_NOT_FOUND) => {}
            found => return Ok(found),
        }
        if !self.config.create {
            return Err(BindError::Unavailable(format!("stream {name} is missing, and NATS_CREATE is off")));
        }
        Ok(match self.create_stream(wanted).await {
            // Another client has created it at the same moment with other settings.
            Err(error) if error.is(ErrorCode::STREAM_NAME_EXIST) => self.request(&info, &Nothing {}).await,
            created => created,
        })
    }

    async fn create_stream(&self, mut wanted: stream::Config) -> Result<stream::Info, ApiError> {
        let subject = format!("STREAM.CREATE.{}", wanted.name);
        let is_clustered = self.context.client().server_info().cluster.is_some();
        wanted.num_replicas = match self.config.stream_replicas {
            0 if is_clustered => CLUSTER_REPLICAS,
            0 => 1,
            replicas => replicas,
        };
        let mut created = self.request::<_, stream::Info>(&subject, &wanted).await;
        if self.config.stream_replicas == 0 && is_clustered && created.as_ref().is_err_and(has_too_few_servers) {
            wanted.num_replicas = 1;
            created = self.request(&subject, &wanted).await;
        }
        let created = created?;
        self.metrics.nats.streams_created.inc();
        let found = &created.config;
        warn!(self.log, "stream was missing and has been created"; "stream" => &found.name,
            "subjects" => found.subjects.join(" "), "replicas" => found.num_replicas, "max_bytes" => found.max_bytes,
            "max_age_secs" => found.max_age.as_secs(), "delivered_again" => "nothing: it is empty");
        Ok(created)
    }

    async fn consumer(&self, lane: Lane, stream: &stream::Info) -> Result<consumer::Info, BindError> {
        let name = lane.consumer();
        let info = format!("CONSUMER.INFO.{}.{name}", lane.stream());
        match self.request(&info, &Nothing {}).await {
            Err(error) if error.is(ErrorCode::CONSUMER_NOT_FOUND) => {}
            found => return found.map_err(|error| error.into_unavailable(name)),
        }
        if !self.config.create {
            let missing = format!("consumer {name} of stream {} is missing, and NATS_CREATE is off", lane.stream());
            return Err(BindError::Unavailable(missing));
        }
        match self.create_consumer(lane, stream).await {
            Err(error) if error.is(ErrorCode::CONSUMER_ALREADY_EXISTS) => self.request(&info, &Nothing {}).await,
            created => created,
        }
        .map_err(|error| error.into_unavailable(name))
    }

    async fn create_consumer(&self, lane: Lane, stream: &stream::Info) -> Result<consumer::Info, ApiError> {
        let mut wanted = consumer_config(lane, &self.config).into_consumer_config();
        let mut created = self.request_consumer(lane, &wanted).await;
        // A server may bound max_ack_pending of a consumer: then its bound is used.
        if let Err(ApiError::Server(error)) = &created
            && error.error_code() == ErrorCode::CONSUMER_MAX_PENDING_ACK_EXCESS
            && let Some(most) = error.to_string().split(' ').find_map(|word| word.parse().ok())
        {
            wanted.max_ack_pending = most;
            created = self.request_consumer(lane, &wanted).await;
        }
        let created = created?;
        self.metrics.nats.consumers_created.inc();
        warn!(self.log, "consumer was missing and has been created"; "consumer" => lane.consumer(),
            "stream" => lane.stream(), "replicas" => stream.config.num_replicas,
            "ack_wait_secs" => created.config.ack_wait.as_secs(), "max_ack_pending" => created.config.max_ack_pending,
            "max_deliver" => created.config.max_deliver,
            "delivered_again" => format!("everything that the stream holds: {} messages", created.num_pending));
        Ok(created)
    }

    async fn request_consumer(&self, lane: Lane, config: &consumer::Config) -> Result<consumer::Info, ApiError> {
        let subject = format!("CONSUMER.CREATE.{}.{}", lane.stream(), lane.consumer());
        // `create`: a consumer that exists by now with other settings is not altered (servers from 2.10 on).
        let wanted = serde_json::json!({"stream_name": lane.stream(), "config": config, "action": "create"});
        self.request(&subject, &wanted).await
    }

    async fn request<Q: Serialize + ?Sized, A: DeserializeOwned>(
        &self,
        subject: &str,
        body: &Q,
    ) -> Result<A, ApiError> {
        request(&self.context, subject, body).await
    }
}

/// The body of a request without parameters: `{}`. nats-server 2.9 refuses anything else, `null` too.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// A request to the JetStream API; `subject` is without its prefix.
///
/// # Errors
/// See [`ApiError`].
pub(super) async fn request<Q: Serialize + ?Sized, A: DeserializeOwned>(
    context: &Context,
    subject: &str,
    body: &Q,
) -> Result<A, ApiError> {
    match context.request(subject.to_owned(), body).await {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(ApiError::Server(error)),
        Err(error) => Err(match error.kind() {
            RequestErrorKind::NoResponders => {
                ApiError::Unreachable("JetStream does not answer (no responders)".to_owned())
            }
            RequestErrorKind::TimedOut => ApiError::Silent,
            _ => ApiError::Unreachable(error.to_string()),
        }),
    }
}

/// A JetStream context with a timeout on its answers.
pub(crate) fn context(client: &Client) -> Context {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(ANSWER_BOUND);
    context
}

/// The state of a stream; `None` where it does not exist.
///
/// # Errors
/// Where the server does not answer.
pub(crate) async fn stream_info(context: &Context, name: &str) -> Result<Option<stream::Info>, ApiError> {
    found(request(context, &format!("STREAM.INFO.{name}"), &Nothing {}).await)
}

/// The state of a lane's consumer; `None` where it does not exist.
///
/// # Errors
/// Where the server does not answer.
pub(crate) async fn consumer_info(context: &Context, lane: Lane) -> Result<Option<consumer::Info>, ApiError> {
    found(request(context, &format!("CONSUMER.INFO.{}.{}", lane.stream(), lane.consumer()), &Nothing {}).await)
}

/// What the server has found; `None` where there is none.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(info) => Ok(Some(info)),
        Err(ApiError::Server(error)) if error.code() == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// When the server answered by its own clock, RFC 3339; servers from 2.10 on say so with what they know of a stream.
///
/// # Errors
/// Where the server does not answer.
pub(crate) async fn answered_at(context: &Context, stream: &str) -> Result<Option<String>, ApiError> {
    #[derive(serde::Deserialize)]
    struct Answer {
        ts: Option<String>,
    }
    let answer: Result<Option<Answer>, ApiError> =
        found(request(context, &format!("STREAM.INFO.{stream}"), &Nothing {}).await);
    Ok(answer?.and_then(|answer| answer.ts))
}

fn has_too_few_servers(error: &ApiError) -> bool {
    [ErrorCode::CLUSTER_NO_PEERS, ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED, ErrorCode::INSUFFICIENT_RESOURCES]
        .into_iter()
        .any(|code| error.is(code))
}

/// The configuration of a stream that the node creates: file storage, no limits.
pub(crate) fn stream_config(name: &str, subjects: &str) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        storage: stream::StorageType::File,
        retention: stream::RetentionPolicy::Limits,
        ..Default::default()
    }
}

fn lane_stream(lane: Lane, config: &Config) -> stream::Config {
    let max_bytes = if config.stream_max_bytes == 0 { -1 } else { config.stream_max_bytes };
    stream::Config {
        max_bytes,
        max_age: Duration::from_secs(config.stream_max_age_secs),
        ..stream_config(lane.stream(), lane.subjects())
    }
}

/// The configuration of a lane's consumer that the node creates.
pub(crate) fn consumer_config(lane: Lane, config: &Config) -> pull::Config {
    pull::Config {
        durable_name: Some(lane.consumer().to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(config.ack_wait_secs),
        max_ack_pending: config.max_ack_pending,
        // Unlimited: an outage must not use up a message's attempts. The node quarantines what fails by itself.
        max_deliver: -1,
        ..Default::default()
    }
}

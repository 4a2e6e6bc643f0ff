//! Streams and consumers: made where they are missing, bound to where they exist, never altered.

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
use crate::delivery::Lane;
use crate::metrics::Metrics;

/// What is told where an answer does not come.
const SILENCE: &str = "JetStream does not answer in time (is $JS.API permitted, and the inbox?)";
/// Copies of a stream in a cluster that has as many servers.
const CLUSTER_REPLICAS: usize = 3;

/// A lane's consumer as it was found.
#[derive(Clone, Debug)]
pub struct Binding {
    /// When the stream was made.
    pub stream_created: time::OffsetDateTime,
    /// When the consumer was made.
    pub created: time::OffsetDateTime,
    /// Its settings.
    pub terms: Terms,
}

impl Binding {
    /// When the consumer was made, Unix microseconds: what the stream holds from before may have been delivered by another.
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
    /// Nothing answers on a connection that stands.
    #[error("{0}")]
    Silent(String),
    /// It can't work correctly with these settings; somebody has to change them.
    #[error("{0}")]
    Unfit(String),
}

/// Longest wait for an answer of the JetStream API.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Finds streams and consumers, and makes those that are missing.
#[derive(Clone)]
pub struct Provisioner {
    context: Context,
    config: Config,
    metrics: Arc<Metrics>,
    log: Logger,
}

/// An answer of the JetStream API that is no success.
enum Refused {
    Server(jetstream::Error),
    Away(String),
    Silent,
}

impl Refused {
    fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Refused::Server(error) if error.error_code() == code)
    }

    fn into_unavailable(self, name: &str) -> BindError {
        match self {
            Refused::Server(error) => BindError::Unavailable(format!("{name}: {error}")),
            Refused::Away(why) => BindError::Unavailable(format!("{name}: {why}")),
            Refused::Silent => BindError::Silent(format!("{name}: {SILENCE}")),
        }
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
        let stream = self.stream(lane_stream(lane, &self.config)).await?;
        let info = self.consumer(lane, &stream).await?;
        if let Some(why) = fitness::unfit(&info, lane) {
            return Err(BindError::Unfit(why));
        }
        let terms = fitness::terms(&info, &consumer_config(lane, &self.config), lane);
        Ok(Binding { stream_created: stream.created, created: info.created, terms })
    }

    /// As [`Provisioner::stream`]; `None` where the subjects belong to a stream of another name.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn stream_unless_taken(&self, wanted: stream::Config) -> Result<Option<stream::Info>, BindError> {
        let name = wanted.name.clone();
        match self.find_or_create_stream(wanted).await? {
            Err(refused) if refused.is(ErrorCode::STREAM_SUBJECT_OVERLAP) => Ok(None),
            found => found.map(Some).map_err(|refused| refused.into_unavailable(&name)),
        }
    }

    /// The stream of this name; made as wanted where it is missing, with as many replicas as the settings say.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn stream(&self, wanted: stream::Config) -> Result<stream::Info, BindError> {
        let name = wanted.name.clone();
        self.find_or_create_stream(wanted).await?.map_err(|refused| refused.into_unavailable(&name))
    }

    /// The outer error: it is missing and must not be made.
    async fn find_or_create_stream(&self, wanted: stream::Config) -> Result<Result<stream::Info, Refused>, BindError> {
        let name = wanted.name.clone();
        let info = format!("STREAM.INFO.{name}");
        match self.ask(&info, &Nothing {}).await {
            Err(refused) if refused.is(ErrorCode::STREAM_NOT_FOUND) => {}
            found => return Ok(found),
        }
        if !self.config.create {
            return Err(BindError::Unavailable(format!("stream {name} is missing, and NATS_CREATE is off")));
        }
        Ok(match self.create_stream(wanted).await {
            // Somebody else has made it at the same moment, otherwise.
            Err(refused) if refused.is(ErrorCode::STREAM_NAME_EXIST) => self.ask(&info, &Nothing {}).await,
            made => made,
        })
    }

    async fn create_stream(&self, mut wanted: stream::Config) -> Result<stream::Info, Refused> {
        let subject = format!("STREAM.CREATE.{}", wanted.name);
        let is_clustered = self.context.client().server_info().cluster.is_some();
        wanted.num_replicas = match self.config.stream_replicas {
            0 if is_clustered => CLUSTER_REPLICAS,
            0 => 1,
            replicas => replicas,
        };
        let mut made = self.ask::<_, stream::Info>(&subject, &wanted).await;
        if self.config.stream_replicas == 0 && is_clustered && made.as_ref().is_err_and(has_too_few_servers) {
            wanted.num_replicas = 1;
            made = self.ask(&subject, &wanted).await;
        }
        let made = made?;
        self.metrics.nats.streams_created.inc();
        let found = &made.config;
        warn!(self.log, "stream was missing and has been created"; "stream" => &found.name,
            "subjects" => found.subjects.join(" "), "replicas" => found.num_replicas, "max_bytes" => found.max_bytes,
            "max_age_secs" => found.max_age.as_secs(), "delivered_again" => "nothing: it is empty");
        Ok(made)
    }

    async fn consumer(&self, lane: Lane, stream: &stream::Info) -> Result<consumer::Info, BindError> {
        let name = lane.consumer();
        let info = format!("CONSUMER.INFO.{}.{name}", lane.stream());
        match self.ask(&info, &Nothing {}).await {
            Err(refused) if refused.is(ErrorCode::CONSUMER_NOT_FOUND) => {}
            found => return found.map_err(|refused| refused.into_unavailable(name)),
        }
        if !self.config.create {
            let missing = format!("consumer {name} of stream {} is missing, and NATS_CREATE is off", lane.stream());
            return Err(BindError::Unavailable(missing));
        }
        match self.create_consumer(lane, stream).await {
            Err(refused) if refused.is(ErrorCode::CONSUMER_ALREADY_EXISTS) => self.ask(&info, &Nothing {}).await,
            made => made,
        }
        .map_err(|refused| refused.into_unavailable(name))
    }

    async fn create_consumer(&self, lane: Lane, stream: &stream::Info) -> Result<consumer::Info, Refused> {
        let mut wanted = consumer_config(lane, &self.config).into_consumer_config();
        let mut made = self.ask_to_create(lane, &wanted).await;
        // A server may bound what one consumer may have: then it is what the server gives.
        if let Err(Refused::Server(error)) = &made
            && error.error_code() == ErrorCode::CONSUMER_MAX_PENDING_ACK_EXCESS
            && let Some(most) = error.to_string().split(' ').find_map(|word| word.parse().ok())
        {
            wanted.max_ack_pending = most;
            made = self.ask_to_create(lane, &wanted).await;
        }
        let made = made?;
        self.metrics.nats.consumers_created.inc();
        warn!(self.log, "consumer was missing and has been created"; "consumer" => lane.consumer(),
            "stream" => lane.stream(), "replicas" => stream.config.num_replicas,
            "ack_wait_secs" => made.config.ack_wait.as_secs(), "max_ack_pending" => made.config.max_ack_pending,
            "max_deliver" => made.config.max_deliver,
            "delivered_again" => format!("everything that the stream holds: {} messages", made.num_pending));
        Ok(made)
    }

    async fn ask_to_create(&self, lane: Lane, config: &consumer::Config) -> Result<consumer::Info, Refused> {
        let subject = format!("CONSUMER.CREATE.{}.{}", lane.stream(), lane.consumer());
        // `create`: one that exists otherwise by now is not altered (by servers from 2.10 on).
        let wanted = serde_json::json!({"stream_name": lane.stream(), "config": config, "action": "create"});
        self.ask(&subject, &wanted).await
    }

    async fn ask<Q: Serialize + ?Sized, A: DeserializeOwned>(&self, subject: &str, body: &Q) -> Result<A, Refused> {
        ask(&self.context, subject, body).await
    }
}

/// The body of a request that asks for nothing in particular: `{}`. nats-server 2.9 refuses any other, `null` too.
#[derive(Serialize)]
struct Nothing {}

async fn ask<Q: Serialize + ?Sized, A: DeserializeOwned>(
    context: &Context,
    subject: &str,
    body: &Q,
) -> Result<A, Refused> {
    match context.request(subject.to_owned(), body).await {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(Refused::Server(error)),
        Err(error) => Err(match error.kind() {
            RequestErrorKind::NoResponders => Refused::Away("JetStream does not answer (no responders)".to_owned()),
            RequestErrorKind::TimedOut => Refused::Silent,
            _ => Refused::Away(error.to_string()),
        }),
    }
}

/// JetStream, with a bound on its answers.
pub(crate) fn context(client: &Client) -> Context {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(ANSWER_BOUND);
    context
}

/// What the server says of a lane's consumer; `None` = there is none (any more).
///
/// # Errors
/// A sentence, where it says nothing.
pub(crate) async fn consumer_info(context: &Context, lane: Lane) -> Result<Option<consumer::Info>, String> {
    match ask(context, &format!("CONSUMER.INFO.{}.{}", lane.stream(), lane.consumer()), &Nothing {}).await {
        Ok(info) => Ok(Some(info)),
        Err(Refused::Server(error)) if error.code() == 404 => Ok(None),
        Err(Refused::Server(error)) => Err(error.to_string()),
        Err(Refused::Away(why)) => Err(why),
        Err(Refused::Silent) => Err(SILENCE.to_owned()),
    }
}

fn has_too_few_servers(refused: &Refused) -> bool {
    [ErrorCode::CLUSTER_NO_PEERS, ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED, ErrorCode::INSUFFICIENT_RESOURCES]
        .into_iter()
        .any(|code| refused.is(code))
}

/// A stream as the node makes it where it is missing: file storage, no limits.
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

/// A lane's consumer as the node makes it where it is missing.
pub(crate) fn consumer_config(lane: Lane, config: &Config) -> pull::Config {
    pull::Config {
        durable_name: Some(lane.consumer().to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(config.ack_wait_secs),
        max_ack_pending: config.max_ack_pending,
        // Never: an outage must not use up a message's life. What fails for its own sake is quarantined by the node.
        max_deliver: -1,
        ..Default::default()
    }
}

//! The connection to NATS, and the streams and consumers: made where they are missing, bound to where they exist, never
//! altered.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions, Event};
use slog::{Logger, debug, info, warn};
use std::sync::Arc;

use super::Config;
use crate::delivery::Lane;
use crate::health::{Health, Part};

/// Connects, within the bound of the configuration. From then on the client reconnects by itself, for ever. The board is
/// kept by one connection only: two would overwrite each other's word.
///
/// # Errors
/// A sentence, where NATS did not answer in time.
pub async fn connect(config: &Config, name: &str, health: Option<Arc<Health>>, log: &Logger) -> Result<Client, String> {
    let deadline = tokio::time::Instant::now() + config.start_wait();
    let mut delay = Duration::from_millis(100);
    loop {
        match options(name, health.clone(), log.clone()).connect(servers(config)?).await {
            Ok(client) => {
                if let Some(health) = &health {
                    health.up(Part::Nats);
                }
                return Ok(client);
            }
            Err(error) if tokio::time::Instant::now() + delay >= deadline => {
                return Err(format!("NATS did not answer within {} s: {error}", config.start_wait_secs));
            }
            Err(error) => {
                info!(log, "waiting for nats"; "error" => %error);
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(2));
            }
        }
    }
}

fn servers(config: &Config) -> Result<Vec<async_nats::ServerAddr>, String> {
    config
        .url
        .expose()
        .split(',')
        .map(|url| {
            url.trim().parse().map_err(|_| "NATS_URL must be one or several URLs like nats://host:4222".to_owned())
        })
        .collect()
}

fn options(name: &str, health: Option<Arc<Health>>, log: Logger) -> ConnectOptions {
    ConnectOptions::new()
        .name(format!("ingest-node {name}"))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| Duration::from_millis((attempts as u64 * 50).min(1_000)))
        // Room for a whole settled window, so that acknowledging never waits for the socket.
        .client_capacity(32 * 1024)
        .read_buffer_capacity(u16::MAX)
        .event_callback(move |event| {
            let (health, log) = (health.clone(), log.clone());
            async move {
                match event {
                    Event::Connected => {
                        if let Some(health) = &health {
                            health.up(Part::Nats);
                        }
                        info!(log, "nats connected");
                    }
                    Event::Disconnected => {
                        if let Some(health) = &health {
                            health.down(Part::Nats, "disconnected");
                        }
                        warn!(log, "nats disconnected");
                    }
                    other => debug!(log, "nats event"; "event" => %other),
                }
            }
        })
}

/// The stream as the node makes it where it is missing: file storage, limits, oldest messages dropped last of all.
pub fn stream_config(name: &str, subjects: &str) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        storage: stream::StorageType::File,
        retention: stream::RetentionPolicy::Limits,
        ..Default::default()
    }
}

fn consumer_config(lane: Lane, config: &Config) -> pull::Config {
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

/// A lane's consumer, and what the node has to know of its settings.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The consumer.
    pub consumer: PullConsumer,
    /// When the consumer was made, Unix microseconds: what the stream holds from before may have been delivered by another.
    pub created_us: i64,
    /// After this long without a word the broker delivers again.
    pub ack_wait: Duration,
    /// Whether a message may be delivered any number of times: only then may it be handed back without harm.
    pub unlimited_deliveries: bool,
    /// Where its settings differ from what the node would choose.
    pub differences: Vec<String>,
}

/// Why a lane can't be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It may work later.
    #[error("{0}")]
    Unavailable(String),
    /// It can't work correctly with these settings; somebody has to change them.
    #[error("{0}")]
    Unfit(String),
}

/// Makes what is missing and binds to what exists.
///
/// # Errors
/// See [`BindError`].
pub async fn bind(client: &Client, lane: Lane, config: &Config) -> Result<Binding, BindError> {
    let context = jetstream::new(client.clone());
    let unavailable = |error: String| BindError::Unavailable(format!("{}: {error}", lane.consumer()));
    let stream = context
        .get_or_create_stream(stream_config(lane.stream(), lane.subjects()))
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    // With `get_or_create`, a consumer that another replica makes at the same moment is bound to.
    let consumer: PullConsumer = stream
        .get_or_create_consumer(lane.consumer(), consumer_config(lane, config))
        .await
        .map_err(|error| unavailable(error.to_string()))?;
    let found = &consumer.cached_info().config;
    if found.ack_policy != AckPolicy::Explicit {
        return Err(BindError::Unfit(format!(
            "consumer {} acknowledges {:?}, not explicitly: it would lose or double messages",
            lane.consumer(),
            found.ack_policy
        )));
    }
    if found.deliver_subject.is_some() {
        return Err(BindError::Unfit(format!("consumer {} is a push consumer, not a pull consumer", lane.consumer())));
    }
    let differences = differences(found, &consumer_config(lane, config), lane);
    let created_us = (consumer.cached_info().created.unix_timestamp_nanos() / 1_000) as i64;
    Ok(Binding {
        created_us,
        ack_wait: found.ack_wait,
        unlimited_deliveries: found.max_deliver <= 0,
        differences,
        consumer,
    })
}

fn differences(found: &jetstream::consumer::Config, wanted: &pull::Config, lane: Lane) -> Vec<String> {
    let mut differences = Vec::new();
    if found.ack_wait < wanted.ack_wait {
        differences.push(format!("ack_wait is {:?}, {:?} is recommended", found.ack_wait, wanted.ack_wait));
    }
    if found.max_ack_pending > 0 && found.max_ack_pending < wanted.max_ack_pending {
        differences.push(format!(
            "max_ack_pending is {}, which bounds the throughput of all replicas together; {} is recommended",
            found.max_ack_pending, wanted.max_ack_pending
        ));
    }
    if found.max_deliver > 0 {
        differences.push(format!(
            "max_deliver is {}: the broker gives a message up after so many crashes or restarts; -1 is recommended",
            found.max_deliver
        ));
    }
    let filter = found.filter_subject.as_str();
    if !filter.is_empty() && filter != lane.subjects() {
        differences.push(format!("filter_subject is {filter}, so other subjects of the stream are not read"));
    }
    differences
}

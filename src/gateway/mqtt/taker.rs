//! The taker: makes intakes of a broker's messages and sends them into their streams.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rumqttc::{Publish, QoS};

use super::acknowledge::Received;
use super::shared::Shared;
use crate::gateway::{NotStored, Via};
use crate::metrics::{MqttDrop, MqttQos};
use crate::runtime::failpoint;
use ingest_core::message::mqtt::{intake, message_id};

/// What NATS counts into a message's size beside its envelope, at most: the headers.
const HEADERS: usize = 512;

/// Why a message can't be taken now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// The streams are missing, silent or full.
    #[error("the streams take no messages")]
    Streams,
    /// It could not be sent.
    #[error(transparent)]
    NotStored(#[from] NotStored),
}

/// Takes a message in, as soon as the window has space for it.
///
/// # Errors
/// It can't be taken now.
pub(super) async fn take(shared: &Shared, message: Publish) -> Result<Received, NotTaken> {
    let metrics = &shared.metrics;
    metrics.received.of(label(message.qos)).inc();
    let Publish { dup, qos, retain, pkid, topic, payload } = message;
    let packet = Publish { dup, qos, retain, pkid, topic: String::new(), payload: Bytes::new() };
    if retain {
        metrics.dropped.of(MqttDrop::Retained).inc();
        return Ok(Received { packet, publication: None });
    }
    let max_bytes = |stream| {
        let of_server = shared.link.client.server_info().max_payload;
        let of_stream = shared.link.streams.max_message_bytes(stream).unwrap_or(of_server);
        of_server.min(of_stream).saturating_sub(HEADERS)
    };
    let Some(intake) = intake(&topic, &payload, max_bytes, now_ms()) else {
        metrics.dropped.of(MqttDrop::Own).inc();
        return Ok(Received { packet, publication: None });
    };
    let id = message_id(&shared.link.config.client_id, pkid, &topic, &payload);
    // The envelope is a copy.
    drop((topic, payload));
    failpoint::pass("mqtt-received");
    if !shared.link.streams.takes(intake.stream) {
        return Err(NotTaken::Streams);
    }
    // Whoever holds the window's space has a PubAck or gives up within the publish timeout.
    let credit = shared.link.publisher.reserve(intake.envelope.len()).await.ok_or(NotTaken::Streams)?;
    match shared.link.publisher.send(Via::Mqtt, intake, id.as_deref(), credit).await {
        Ok(publication) => Ok(Received { packet, publication: Some(publication) }),
        Err(error) if error.is_too_large() => {
            shared.too_large(&error);
            Ok(Received { packet, publication: None })
        }
        Err(error) => Err(error.into()),
    }
}

fn label(qos: QoS) -> MqttQos {
    match qos {
        QoS::AtMostOnce => MqttQos::AtMostOnce,
        QoS::AtLeastOnce | QoS::ExactlyOnce => MqttQos::AtLeastOnce,
    }
}

/// The time of arrival, Unix milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

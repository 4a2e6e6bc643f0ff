//! Acknowledgements: PUBACKs in the order of the PUBLISHes ([MQTT-4.6.0-2]), each after its PubAck.

use std::convert::Infallible;
use std::future::pending;

use rumqttc::{AsyncClient, Publish};
use slog::{Logger, warn};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::gateway::{NotStored, Pending};
use crate::metrics::{MqttDrop, MqttMetrics};
use crate::runtime::failpoint;

/// A message that was received and is not acknowledged yet.
pub(super) struct Received {
    /// The packet without its content.
    pub packet: Publish,
    /// Its publication; none for one that is not taken in.
    pub publication: Option<Pending>,
}

/// Acknowledges what arrives, until nothing arrives any more; then ends the session's connection in order, and waits for its
/// end.
///
/// # Errors
/// The first message that was not stored. Nothing after it is acknowledged.
pub(super) async fn acknowledge(
    mut received: UnboundedReceiver<Received>,
    client: AsyncClient,
    metrics: &MqttMetrics,
    log: &Logger,
) -> Result<Infallible, NotStored> {
    while let Some(Received { packet, publication }) = received.recv().await {
        if let Some(publication) = publication {
            match publication.stored().await {
                Ok(_) => {}
                Err(error) if error.is_too_large() => drop_too_large(&error, metrics, log),
                Err(error) => return Err(error),
            }
        }
        failpoint::pass("mqtt-stored");
        // There is a place for every packet id. Without the connection the broker sends the message again.
        let _ = client.try_ack(&packet);
    }
    let _ = client.try_disconnect();
    pending().await
}

/// A message that no stream takes, whenever it is sent: it would come again for ever, and hold up all that come after it.
pub(super) fn drop_too_large(error: &NotStored, metrics: &MqttMetrics, log: &Logger) {
    metrics.dropped.of(MqttDrop::TooLarge).inc();
    warn!(log, "message dropped: larger than NATS or the stream takes"; "error" => %error);
}

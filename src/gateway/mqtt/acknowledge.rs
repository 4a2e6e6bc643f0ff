//! Acknowledgements: PUBACKs in the order of the PUBLISHes ([MQTT-4.6.0-2]), each after its PubAck.

use std::convert::Infallible;
use std::future::pending;

use rumqttc::{AsyncClient, Publish};
use tokio::sync::mpsc::UnboundedReceiver;

use super::shared::Shared;
use crate::gateway::{NotStored, Pending};
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
    shared: &Shared,
) -> Result<Infallible, NotStored> {
    while let Some(Received { packet, publication }) = received.recv().await {
        if let Some(publication) = publication {
            match publication.stored().await {
                Ok(_) => {}
                Err(error) if error.is_too_large() => shared.too_large(&error),
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

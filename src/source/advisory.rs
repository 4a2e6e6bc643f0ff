//! The server's advisories about a lane's stream and consumer: a deletion is known at once. Best effort, since the node
//! may lack the permission to hear them; the consumer's state is read every second anyway.

use actix::Recipient;
use async_nats::Client;
use futures_util::StreamExt;

use super::events::Deleted;
use crate::delivery::Lane;

/// Listens until the consumer is gone.
pub(super) async fn listen(client: Client, lane: Lane, consumer: Recipient<Deleted>) {
    let (stream, durable) = (lane.stream(), lane.consumer());
    let subjects = [
        format!("$JS.EVENT.ADVISORY.STREAM.DELETED.{stream}"),
        format!("$JS.EVENT.ADVISORY.CONSUMER.DELETED.{stream}.{durable}"),
    ];
    let mut subscribers = Vec::new();
    for subject in subjects {
        subscribers.extend(client.subscribe(subject).await);
    }
    let mut advisories = futures_util::stream::select_all(subscribers);
    while advisories.next().await.is_some() {
        if consumer.try_send(Deleted).is_err() && !consumer.connected() {
            return;
        }
    }
}

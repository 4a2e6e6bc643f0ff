//! JetStream advisories about the deletion of a lane's stream or consumer. Best effort, since the node may lack the
//! permission to subscribe to them; the consumer's state is polled anyway.

use actix::{Message, Recipient};
use async_nats::Client;
use futures_util::StreamExt;

use crate::delivery::Lane;

/// The stream or the consumer was deleted.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deleted;

/// Forwards deletions until the consumer actor has stopped.
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

//! The subscription that the pull requests of a lane are answered on.

use actix::Recipient;
use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::events::{Arrived, InletClosed};

/// Most messages in one chunk: enough to make a mailbox hop cheap, few enough to keep the validators evenly busy.
const CHUNK: usize = 1_024;

/// Who hears what comes in.
pub(super) struct Listener {
    /// Gets messages, in chunks.
    pub arrived: Recipient<Arrived>,
    /// Hears of the end.
    pub closed: Recipient<InletClosed>,
}

/// A lane's inlet: an inbox whose last token names the pull request.
#[derive(Debug)]
pub(super) struct Inlet {
    /// Its number; later inlets have higher ones.
    pub number: u64,
    inbox: String,
    close: Option<oneshot::Sender<()>>,
}

impl Inlet {
    /// Subscribes and hands everything that arrives to the consumer, in chunks, until it is closed.
    ///
    /// # Errors
    /// What the client says.
    pub(super) async fn open(client: &Client, number: u64, consumer: Listener) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(format!("{inbox}.*")).await.map_err(|error| error.to_string())?;
        let (close, closed) = oneshot::channel();
        actix_rt::spawn(run(subscriber, number, closed, consumer));
        Ok(Self { number, inbox, close: Some(close) })
    }

    /// The reply subject of a pull request.
    pub(super) fn reply(&self, id: u64) -> String {
        format!("{}.{id}", self.inbox)
    }
}

impl Drop for Inlet {
    /// Takes no more from the broker: it drops the open requests, and what is under way still arrives before the
    /// consumer hears [`InletClosed`].
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            let _ = close.send(());
        }
    }
}

/// The pull request that a status message answers.
pub(super) fn request_of(message: &Message) -> Option<u64> {
    message.subject.rsplit('.').next()?.parse().ok()
}

async fn run(subscriber: Subscriber, inlet: u64, mut closed: oneshot::Receiver<()>, consumer: Listener) {
    let mut chunks = subscriber.ready_chunks(CHUNK);
    loop {
        tokio::select! {
            chunk = chunks.next() => match chunk {
                Some(messages) => consumer.arrived.do_send(Arrived { inlet, messages }),
                None => break,
            },
            _ = &mut closed => {
                let mut subscriber = chunks.into_inner();
                if subscriber.drain().await.is_ok() {
                    let mut rest = subscriber.ready_chunks(CHUNK);
                    while let Some(messages) = rest.next().await {
                        consumer.arrived.do_send(Arrived { inlet, messages });
                    }
                }
                break;
            }
        }
    }
    consumer.closed.do_send(InletClosed { inlet });
}

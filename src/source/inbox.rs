//! Inbox of a lane: the subscription on which the broker answers the lane's pull requests.

use actix::{Message, Recipient};
use async_nats::{Client, SubscribeError, Subscriber};
use futures_util::StreamExt;
use tokio::sync::oneshot;

/// Most messages in one chunk: enough to make a mailbox hop cheap, few enough to keep the validators evenly busy.
const CHUNK: usize = 1_024;

/// Messages and status messages from an inbox, in order.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Arrived {
    /// The number of the inbox.
    pub(super) inbox: u64,
    pub(super) messages: Vec<async_nats::Message>,
}

/// Nothing more will arrive from an inbox.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct InboxClosed {
    /// The number of the inbox.
    pub(super) inbox: u64,
}

/// Who receives what an inbox brings.
pub(super) struct Receiver {
    pub arrived: Recipient<Arrived>,
    pub closed: Recipient<InboxClosed>,
}

/// An open inbox; the last token of its reply subjects is the id of the pull request.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Its number; later inboxes have higher ones.
    pub number: u64,
    subject: String,
    close: Option<oneshot::Sender<()>>,
}

impl Inbox {
    /// Subscribes and forwards everything that arrives, in chunks, until the inbox is dropped.
    ///
    /// # Errors
    /// The client's error.
    pub(super) async fn open(client: &Client, number: u64, receiver: Receiver) -> Result<Self, SubscribeError> {
        let subject = client.new_inbox();
        let subscriber = client.subscribe(format!("{subject}.*")).await?;
        let (close, closed) = oneshot::channel();
        actix_rt::spawn(run(subscriber, number, closed, receiver));
        Ok(Self { number, subject, close: Some(close) })
    }

    /// The reply subject of a pull request.
    pub(super) fn reply(&self, id: u64) -> String {
        format!("{}.{id}", self.subject)
    }
}

impl Drop for Inbox {
    /// Unsubscribes: the broker drops the open requests, and what it has sent already still arrives before
    /// [`InboxClosed`].
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            let _ = close.send(());
        }
    }
}

/// The pull request that a status message answers.
pub(super) fn request_of(message: &async_nats::Message) -> Option<u64> {
    message.subject.rsplit('.').next()?.parse().ok()
}

async fn run(subscriber: Subscriber, inbox: u64, mut closed: oneshot::Receiver<()>, receiver: Receiver) {
    let mut chunks = subscriber.ready_chunks(CHUNK);
    loop {
        tokio::select! {
            chunk = chunks.next() => match chunk {
                Some(messages) => receiver.arrived.do_send(Arrived { inbox, messages }),
                None => break,
            },
            _ = &mut closed => {
                let mut subscriber = chunks.into_inner();
                if subscriber.drain().await.is_ok() {
                    let mut rest = subscriber.ready_chunks(CHUNK);
                    while let Some(messages) = rest.next().await {
                        receiver.arrived.do_send(Arrived { inbox, messages });
                    }
                }
                break;
            }
        }
    }
    receiver.closed.do_send(InboxClosed { inbox });
}

//! Ack sender per lane: turns dispositions into JetStream acknowledgements (ack, nak, term, in progress) and sends them in
//! order. The only file that names the broker's ack kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use actix::{Message, Recipient};
use async_nats::client;
use async_nats::connection::State;
use async_nats::jetstream::AckKind;
use async_nats::{Client, Subject};
use bytes::Bytes;
use slog::{Logger, warn};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use ingest_core::flow::disposition::Disposition;

/// Acknowledgements in the client's buffer at once: what it holds when the connection breaks is sent on the next one, to
/// whichever consumer has the name by then.
const CHUNK: usize = 256;

/// A group of acknowledgements has been sent, or dropped.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AcksSent;

/// A lane's ack sender: accepts whole groups without waiting and sends them in order from a task of its own, which outlives
/// the consumer until every group is sent.
#[derive(Clone, Debug)]
pub(super) struct AckSender {
    groups: UnboundedSender<Group>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    unsent: AtomicUsize,
    /// Groups of an earlier epoch are dropped: the broker's consumer may have been recreated, and they would settle messages
    /// of its successor.
    epoch: AtomicU64,
}

#[derive(Debug)]
struct Group {
    epoch: u64,
    messages: Vec<(Subject, Bytes)>,
}

impl AckSender {
    /// Starts the task on the current arbiter. `sent` is notified of each group.
    pub(super) fn start(client: Client, sent: Recipient<AcksSent>, log: Logger) -> Self {
        let (groups, receiver) = unbounded_channel();
        let shared = Arc::new(Shared::default());
        actix_rt::spawn(send(client, receiver, shared.clone(), sent, log));
        Self { groups, shared }
    }

    /// Sends dispositions.
    pub(super) fn settle(&self, dispositions: impl IntoIterator<Item = (Subject, Disposition)>) {
        self.enqueue(dispositions.into_iter().map(|(reply, disposition)| {
            let kind = match disposition {
                Disposition::Ack => AckKind::Ack,
                Disposition::Nak(delay) if delay.is_zero() => AckKind::Nak(None),
                Disposition::Nak(delay) => AckKind::Nak(Some(delay)),
                Disposition::Term => AckKind::Term,
            };
            (reply, kind.into())
        }));
    }

    /// Extends the `ack_wait` of deliveries that are still in flight.
    pub(super) fn in_progress(&self, replies: impl IntoIterator<Item = Subject>) {
        self.enqueue(replies.into_iter().map(|reply| (reply, AckKind::Progress.into())));
    }

    /// Whether everything has been sent, or dropped.
    pub(super) fn all_sent(&self) -> bool {
        self.shared.unsent.load(Ordering::Acquire) == 0
    }

    /// Drops what has not been sent yet.
    pub(super) fn drop_unsent(&self) {
        self.shared.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn enqueue(&self, messages: impl Iterator<Item = (Subject, Bytes)>) {
        let messages: Vec<_> = messages.collect();
        if messages.is_empty() {
            return;
        }
        self.shared.unsent.fetch_add(1, Ordering::AcqRel);
        // The task ends only after its last sender.
        let _ = self.groups.send(Group { epoch: self.shared.epoch.load(Ordering::Acquire), messages });
    }
}

async fn send(
    client: Client,
    mut groups: UnboundedReceiver<Group>,
    shared: Arc<Shared>,
    sent: Recipient<AcksSent>,
    log: Logger,
) {
    while let Some(Group { epoch, messages }) = groups.recv().await {
        let is_current =
            || epoch == shared.epoch.load(Ordering::Acquire) && client.connection_state() == State::Connected;
        if let Err(why) = send_group(&client, messages, is_current).await {
            warn!(log, "acknowledgements not sent; the broker will deliver again"; "why" => %why);
        }
        shared.unsent.fetch_sub(1, Ordering::AcqRel);
        sent.do_send(AcksSent);
    }
}

/// Why acknowledgements were not sent.
#[derive(Debug, Error)]
enum SendError {
    /// So many are left, and would reach another consumer.
    #[error("{0} of them; the connection or the consumer was lost")]
    Lost(usize),
    /// The client is closed.
    #[error("{0}")]
    Publish(#[from] client::PublishError),
    /// The same, or the connection broke.
    #[error("{0}")]
    Flush(#[from] client::FlushError),
}

async fn send_group(
    client: &Client,
    messages: Vec<(Subject, Bytes)>,
    is_current: impl Fn() -> bool,
) -> Result<(), SendError> {
    let mut messages = messages.into_iter();
    while messages.len() > 0 {
        if !is_current() {
            return Err(SendError::Lost(messages.len()));
        }
        for (reply, body) in messages.by_ref().take(CHUNK) {
            client.publish(reply, body).await?;
        }
        // Publishing only enqueues; the flush waits until the server has received the chunk.
        client.flush().await?;
    }
    Ok(())
}

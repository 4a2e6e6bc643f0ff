//! What the broker is told about deliveries. The only place that names its kinds of acknowledgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Recipient;
use async_nats::jetstream::AckKind;
use async_nats::{Client, Subject};
use bytes::Bytes;
use slog::{Logger, warn};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::consumer::AcksSent;
use crate::core::disposition::Disposition;

/// A lane's way back to the broker: takes whole groups without waiting and sends them in order from a task of its own,
/// which outlives the consumer until everything is out.
#[derive(Clone, Debug)]
pub struct Acks {
    groups: UnboundedSender<Vec<(Subject, Bytes)>>,
    unsent: Arc<AtomicUsize>,
}

impl Acks {
    /// Starts the task on the current arbiter. `sent` hears when a group is out.
    pub fn start(client: Client, sent: Recipient<AcksSent>, log: Logger) -> Self {
        let (groups, receiver) = unbounded_channel();
        let unsent = Arc::new(AtomicUsize::new(0));
        actix_rt::spawn(send(client, receiver, unsent.clone(), sent, log));
        Self { groups, unsent }
    }

    /// Sends dispositions.
    pub fn settle(&self, settled: impl IntoIterator<Item = (Subject, Disposition)>) {
        self.enqueue(settled.into_iter().map(|(reply, disposition)| {
            let kind = match disposition {
                Disposition::Ack => AckKind::Ack,
                Disposition::Nak(delay) if delay.is_zero() => AckKind::Nak(None),
                Disposition::Nak(delay) => AckKind::Nak(Some(delay)),
                Disposition::Term => AckKind::Term,
            };
            (reply, kind.into())
        }));
    }

    /// Tells the broker that these are still being worked on.
    pub fn in_progress(&self, replies: impl IntoIterator<Item = Subject>) {
        self.enqueue(replies.into_iter().map(|reply| (reply, AckKind::Progress.into())));
    }

    /// Whether everything has left the house.
    pub fn all_sent(&self) -> bool {
        self.unsent.load(Ordering::Acquire) == 0
    }

    fn enqueue(&self, group: impl Iterator<Item = (Subject, Bytes)>) {
        let group: Vec<_> = group.collect();
        if group.is_empty() {
            return;
        }
        self.unsent.fetch_add(1, Ordering::AcqRel);
        // The task ends only after its last sender.
        let _ = self.groups.send(group);
    }
}

async fn send(
    client: Client,
    mut groups: UnboundedReceiver<Vec<(Subject, Bytes)>>,
    unsent: Arc<AtomicUsize>,
    sent: Recipient<AcksSent>,
    log: Logger,
) {
    while let Some(group) = groups.recv().await {
        let mut failed = None;
        for (reply, word) in group {
            // Only enqueues; while the connection is away it waits here, and the window closes the door.
            if let Err(error) = client.publish(reply, word).await {
                failed = Some(error.to_string());
                break;
            }
        }
        // Once per group: an acknowledgement that is only enqueued is not one.
        if let Err(error) = client.flush().await {
            failed = Some(error.to_string());
        }
        if let Some(error) = failed {
            warn!(log, "acknowledgements not sent; the broker will deliver again"; "error" => error);
        }
        unsent.fetch_sub(1, Ordering::AcqRel);
        sent.do_send(AcksSent);
    }
}

//! A conversation: what is said over one connection, from the subscription to its end.

use std::pin::pin;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, Outgoing, QoS};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::acknowledge::{Received, acknowledge};
use super::connection::{Connection, describe, granted};
use super::shared::Shared;
use super::taker::{NotTaken, take};
use crate::gateway::NotStored;

/// Bound on the broker's answer to the subscription. What it owes the session may come first; then it counts from the last
/// message.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A broker that has sent nothing for so long has nothing left of a session that takes up nothing new.
const QUIET: Duration = Duration::from_secs(3);

/// What a conversation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To take what is published, until a drain.
    Serve,
    /// To take the subscription back, and what the broker still has for the session.
    Retire,
}

/// How a conversation ended.
#[derive(Debug, Error)]
pub(super) enum End {
    /// As asked: everything that was taken is acknowledged.
    #[error("drained")]
    Drained,
    /// The broker does not give what is asked for.
    #[error("{said}: check its rights to {filter}")]
    Refused {
        /// What the broker says.
        said: &'static str,
        /// What was asked for.
        filter: String,
    },
    /// A message is not stored; the broker sends it again over another connection.
    #[error("not stored: {0}")]
    NotStored(#[from] NotStored),
    /// No message is taken now.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The broker is away or closed the connection.
    #[error("{0}")]
    Lost(String),
}

/// Subscribes (or takes that back), and takes and acknowledges messages until the connection ends or there is an end to it.
pub(super) async fn converse(shared: &Shared, connection: Connection, purpose: Purpose) -> End {
    let Connection { client, events, session_present } = connection;
    let (taken, received) = unbounded_channel();
    tokio::select! {
        end = read(shared, events, &client, taken, session_present, purpose) => end,
        // Another task than the one that reads: reading waits for the window, and the window for this one.
        unacknowledged = acknowledge(received, client.clone(), shared) => match unacknowledged {
            Err(not_stored) => not_stored.into(),
        },
    }
}

async fn read(
    shared: &Shared,
    mut events: EventLoop,
    client: &AsyncClient,
    taken: UnboundedSender<Received>,
    session_present: bool,
    purpose: Purpose,
) -> End {
    let filter = shared.link.config.filter();
    let asked = match purpose {
        Purpose::Serve => client.try_subscribe(&filter, QoS::AtLeastOnce),
        Purpose::Retire => client.try_unsubscribe(&filter),
    };
    if let Err(error) = asked {
        return End::Lost(error.to_string());
    }
    let mut answer_by = Instant::now() + ANSWER_WITHIN;
    let (mut is_answered, mut quiet_at) = (false, Instant::now() + QUIET);
    // Gone in a drain: then nothing is taken any more.
    let mut taken = Some(taken);
    loop {
        let event = {
            // Never dropped before it is done: it may be about to send.
            let mut poll = pin!(events.poll());
            loop {
                tokio::select! {
                    biased;
                    () = shared.stop.cancelled(), if taken.is_some() => taken = None,
                    event = &mut poll => break event,
                    () = sleep_until(answer_by), if !is_answered => {
                        return End::Lost("the broker does not answer the subscription".to_owned());
                    }
                    () = sleep_until(quiet_at), if purpose == Purpose::Retire && is_answered && taken.is_some() => {
                        taken = None;
                    }
                }
            }
        };
        match event {
            Ok(Event::Incoming(Incoming::Publish(message))) => {
                if purpose == Purpose::Serve && !is_answered {
                    shared.receives();
                }
                // In a drain what still comes is left to the broker, which sends it again to the next connection.
                let Some(taken) = &taken else { continue };
                match take(shared, message).await {
                    // Nobody waits for a word on it.
                    Ok(Received { packet, publication: None }) if packet.qos == QoS::AtMostOnce => {}
                    // An error means that the conversation has ended.
                    Ok(message) => drop(taken.send(message)),
                    Err(why) => return why.into(),
                }
                quiet_at = Instant::now() + QUIET;
                answer_by = Instant::now() + ANSWER_WITHIN;
            }
            Ok(Event::Incoming(Incoming::SubAck(answer))) => {
                if let Err(said) = granted(&answer) {
                    return End::Refused { said, filter };
                }
                is_answered = true;
                shared.subscribed(session_present);
            }
            Ok(Event::Incoming(Incoming::UnsubAck(_))) => is_answered = true,
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Drained,
            Ok(_) => {}
            Err(error) => return End::Lost(describe(&error, &shared.link.config)),
        }
    }
}

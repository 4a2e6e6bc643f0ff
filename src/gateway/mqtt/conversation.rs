//! A conversation: what is said over one connection, from the subscription to its end.

use std::pin::pin;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, Outgoing, QoS};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::acknowledge::{Received, acknowledge};
use super::connection::{Connection, describe, granted};
use super::session::Shared;
use super::taker::{NotTaken, take};
use crate::gateway::NotStored;

/// Bound on the broker's answer to the subscription.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);

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

/// Subscribes, and takes and acknowledges messages until the connection ends or a drain is asked for.
pub(super) async fn converse(shared: &Shared, connection: Connection) -> End {
    let Connection { client, events, session_present } = connection;
    let (taken, received) = unbounded_channel();
    tokio::select! {
        end = read(shared, events, &client, taken, session_present) => end,
        // Another task than the one that reads: reading waits for the window, and the window for this one.
        unacknowledged = acknowledge(received, client.clone(), &shared.metrics, &shared.log) => match unacknowledged {
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
) -> End {
    let filter = shared.config.filter();
    if let Err(error) = client.try_subscribe(&filter, QoS::AtLeastOnce) {
        return End::Lost(error.to_string());
    }
    let answer_by = Instant::now() + SUBSCRIBE_WITHIN;
    let mut is_subscribed = false;
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
                    () = sleep_until(answer_by), if !is_subscribed => {
                        return End::Lost("the broker does not answer the subscription".to_owned());
                    }
                }
            }
        };
        match event {
            Ok(Event::Incoming(Incoming::Publish(message))) => {
                // In a drain what still comes is left to the broker, which sends it again to the next connection.
                let Some(taken) = &taken else { continue };
                match take(shared, message).await {
                    // An error means that the conversation has ended.
                    Ok(message) => drop(taken.send(message)),
                    Err(why) => return why.into(),
                }
            }
            Ok(Event::Incoming(Incoming::SubAck(answer))) => {
                if let Err(said) = granted(&answer) {
                    return End::Refused { said, filter };
                }
                is_subscribed = true;
                shared.subscribed(session_present);
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Drained,
            Ok(_) => {}
            Err(error) => return End::Lost(describe(&error, &shared.config)),
        }
    }
}

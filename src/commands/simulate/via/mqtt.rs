//! To an MQTT broker or to nats-server's own MQTT listener, with QoS 1.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::send::{Answer, SendOutcome, Way};
use crate::commands::simulate::SimulateError;
use crate::commands::simulate::generate::Simulated;

/// Messages on their way at once.
const WINDOW: usize = 1_000;
/// Bound on the connection's making.
const CONNECT_BOUND: Duration = Duration::from_secs(15);
/// A message that has no PUBACK after this time ends the simulation.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before the connection is made again.
const PAUSE: Duration = Duration::from_millis(500);
/// Largest packet, well above any message.
const MOST_BYTES: usize = 1024 * 1024;

/// A connection to a broker.
pub(crate) struct Mqtt {
    client: AsyncClient,
    waiting: Rc<RefCell<Waiting>>,
}

/// Who waits for a PUBACK.
#[derive(Default)]
struct Waiting {
    /// Of messages that have no packet id yet, in their order.
    unsent: VecDeque<oneshot::Sender<()>>,
    /// By packet id.
    sent: HashMap<u16, oneshot::Sender<()>>,
}

impl Mqtt {
    /// Connects; `login` is a user and its password.
    ///
    /// # Errors
    /// The broker can't be reached, or refuses.
    pub(crate) async fn connect(host: &str, port: u16, login: Option<(&str, &str)>) -> Result<Self, SimulateError> {
        let mut options = MqttOptions::new(format!("ingest-simulate-{:08x}", fastrand::u32(..)), host, port);
        options.set_clean_session(true).set_inflight(WINDOW as u16).set_max_packet_size(MOST_BYTES, MOST_BYTES);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let (client, mut events) = AsyncClient::new(options, 2 * WINDOW);
        let connected = timeout(CONNECT_BOUND, connected(&mut events)).await;
        let refused = |why: String| SimulateError::Unavailable(format!("MQTT broker at {host}:{port}: {why}"));
        connected
            .map_err(|_| refused(format!("no answer within {} s", CONNECT_BOUND.as_secs())))?
            .map_err(|error| refused(error.to_string()))?;
        let waiting = Rc::<RefCell<Waiting>>::default();
        actix_rt::spawn(drive(events, Rc::downgrade(&waiting)));
        Ok(Self { client, waiting })
    }
}

/// Waits for the broker's word that the connection stands.
async fn connected(events: &mut EventLoop) -> Result<(), ConnectionError> {
    while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    Ok(())
}

/// Turns the connection's event loop as long as the connection is wanted.
async fn drive(mut events: EventLoop, waiting: std::rc::Weak<RefCell<Waiting>>) {
    loop {
        let event = events.poll().await;
        let Some(waiting) = waiting.upgrade() else { return };
        match event {
            Ok(Event::Outgoing(Outgoing::Publish(id))) => waiting.borrow_mut().assign(id),
            Ok(Event::Incoming(Packet::PubAck(ack))) => waiting.borrow_mut().acknowledge(ack.pkid),
            Ok(_) => {}
            // The library sends again what is not acknowledged.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

impl Waiting {
    /// A message is on its way under this id; again under the same one after the connection was made again.
    fn assign(&mut self, id: u16) {
        if !self.sent.contains_key(&id)
            && let Some(waiter) = self.unsent.pop_front()
        {
            self.sent.insert(id, waiter);
        }
    }

    fn acknowledge(&mut self, id: u16) {
        if let Some(waiter) = self.sent.remove(&id) {
            // An error means that nobody waits any more.
            let _ = waiter.send(());
        }
    }
}

impl Way for Mqtt {
    const WINDOW: usize = WINDOW;

    async fn send(&self, message: &Simulated) -> Result<Answer, SimulateError> {
        let (topic, payload) = message.mqtt();
        let (waiter, acknowledged) = oneshot::channel();
        self.waiting.borrow_mut().unsent.push_back(waiter);
        let sent = self.client.publish(topic, QoS::AtLeastOnce, false, payload).await;
        sent.map_err(|error| SimulateError::Unavailable(format!("the MQTT client has ended: {error}")))?;
        let sent_at = Instant::now();
        let answer = async move {
            match timeout(PATIENCE, acknowledged).await {
                Ok(Ok(())) => Ok(SendOutcome::Taken),
                _ => Err(SimulateError::Unavailable(format!(
                    "the MQTT broker did not acknowledge a message within {} s",
                    sent_at.elapsed().as_secs()
                ))),
            }
        };
        Ok(answer.boxed_local())
    }
}

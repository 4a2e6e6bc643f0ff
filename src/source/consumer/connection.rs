//! The NATS connection of a lane, and whether it is still the one that the lane was bound on.

use std::sync::atomic::Ordering;

use async_nats::Client;
use async_nats::connection::State;

/// A client, which reconnects by itself, with the number of the connection that the lane was bound on.
pub(super) struct Connection {
    client: Client,
    bound_on: u64,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, bound_on: 0 }
    }

    /// Binds the lane to the present connection.
    pub(super) fn bind(&mut self) {
        self.bound_on = self.number();
    }

    /// Whether the client has connected again since: the broker has forgotten the pull requests of the old connection.
    pub(super) fn is_replaced(&self) -> bool {
        self.number() != self.bound_on
    }

    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Whether the connection is up and the one that the lane was bound on.
    pub(super) fn is_current(&self) -> bool {
        self.is_up() && !self.is_replaced()
    }

    fn number(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

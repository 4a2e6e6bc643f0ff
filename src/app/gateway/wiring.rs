//! Who can be sent what: the addresses that one child of the gateway's tree leaves for the next.

use actix::Recipient;

use crate::gateway::gate::Door;
use crate::message::{Release, Resolve, Subscribe};
use crate::supervisor::child::Wiring;

/// The addresses of the children that are built so far.
#[derive(Default)]
pub(super) struct Addresses {
    /// The Registry, for look-ups.
    pub resolve: Option<Recipient<Resolve>>,
    /// The Registry, for changes.
    pub subscribe: Option<Recipient<Subscribe>>,
    /// The gate's door.
    pub door: Option<Door>,
}

impl Wiring for Addresses {
    /// Ways in hold no deliveries: what JetStream has not acknowledged is still its sender's.
    fn holders(&self) -> Vec<Recipient<Release>> {
        Vec::new()
    }
}

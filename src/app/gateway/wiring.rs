//! Who can be sent what: the addresses that one child of the gateway's tree leaves for the next.

use actix::Recipient;

use crate::message::Release;
use crate::supervisor::child::Wiring;

/// The addresses of the children that are built so far.
#[derive(Default)]
pub(super) struct Addresses {}

impl Wiring for Addresses {
    /// Ways in hold no deliveries: what JetStream has not acknowledged is still its sender's.
    fn holders(&self) -> Vec<Recipient<Release>> {
        Vec::new()
    }
}

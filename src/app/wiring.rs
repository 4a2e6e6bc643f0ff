//! Who can be sent what: the addresses that one child of the tree leaves for the next.

use std::sync::Arc;

use actix::Recipient;

use crate::delivery::pending_ack::Outbox;
use crate::message::{
    FollowSettings, Observe, Points, Publish, QuarantinePoints, Release, Resolve, SettingsChanged, Subscribe,
    TenantsRegistered, Validate, Write,
};
use crate::outbox::redelivery_state::RedeliveryState;
use crate::supervisor::child::Wiring;

/// The addresses of the children that are built so far.
#[derive(Default)]
pub(crate) struct Addresses {
    /// This generation's handle of the outbox.
    pub outbox: Option<Outbox>,
    /// What redelivery shares with the outbox maintainer.
    pub redelivery_state: Option<Arc<RedeliveryState>>,
    /// The quarantine writer.
    pub quarantine: Option<Recipient<QuarantinePoints>>,
    /// The influx Router.
    pub points: Option<Recipient<Points>>,
    /// The influx Router, for the provisioning of new tenants.
    pub new_tenants: Option<Recipient<TenantsRegistered>>,
    /// The route Publisher.
    pub publish: Option<Recipient<Publish>>,
    /// The derived state writer.
    pub observe: Option<Recipient<Observe>>,
    /// Its name among those of the replicas.
    pub state_writer_id: Option<Arc<str>>,
    /// The Writer.
    pub write: Option<Recipient<Write>>,
    /// Who reads the run-time settings without subscribing.
    pub settings_readers: Vec<Recipient<SettingsChanged>>,
    /// The Registry, for look-ups.
    pub resolve: Option<Recipient<Resolve>>,
    /// The Registry, for changes.
    pub subscribe: Option<Recipient<Subscribe>>,
    /// The Registry, for the settings alone.
    pub follow_settings: Option<Recipient<FollowSettings>>,
    /// The Validators in shard order.
    pub validators: Vec<Recipient<Validate>>,
    /// The Consumers.
    pub consumers: Vec<Recipient<Release>>,
}

impl Wiring for Addresses {
    fn holders(&self) -> Vec<Recipient<Release>> {
        self.consumers.clone()
    }
}

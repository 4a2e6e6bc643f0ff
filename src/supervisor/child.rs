//! A child as the supervisor sees it: a factory to build it, a place to live, and what is left of it while it lives.

use actix::Recipient;
use actix_rt::ArbiterHandle;

use super::watch::Watch;
use crate::delivery::pending_ack::Outbox;
use crate::message::{
    AttachRouter, AttachWriter, Drain, FollowSettings, Observe, Points, Publish, Release, Resolve, SettingsChanged,
    Subscribe, TenantsRegistered, Validate, Write,
};
use crate::runtime::actor_guard::ActorGuard;

/// The addresses of the children built so far: each factory takes what it needs and leaves what others need.
#[derive(Default)]
pub(crate) struct Wiring {
    /// The outbox, where points are recorded with their rows.
    pub outbox: Option<Outbox>,
    /// The Replayer, to be told where replayed points go.
    pub attach_router: Option<Recipient<AttachRouter>>,
    /// The influx Router.
    pub points: Option<Recipient<Points>>,
    /// The influx Router, to be told of new tenants.
    pub newcomers: Option<Recipient<TenantsRegistered>>,
    /// The influx Router, to be told where refusals go.
    pub attach_writer: Option<Recipient<AttachWriter>>,
    /// The route Publisher.
    pub publish: Option<Recipient<Publish>>,
    /// The derived-state Keeper.
    pub observe: Option<Recipient<Observe>>,
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

impl Wiring {
    /// An address that must be there by now.
    ///
    /// # Errors
    /// A sentence, where the list of factories is in the wrong order.
    pub(crate) fn need<T: Clone>(address: &Option<T>, name: &str) -> Result<T, String> {
        address.clone().ok_or_else(|| format!("{name} must be built earlier in the list"))
    }
}

/// Where a new child lives and how it is watched.
pub(crate) struct SpawnContext {
    /// The thread it shall live on.
    pub thread: ArbiterHandle,
    /// Goes with the child.
    pub actor_guard: ActorGuard,
}

/// Builds one child of a generation; the answer takes its drain.
pub(crate) type Build = Box<dyn Fn(&mut Wiring, SpawnContext) -> Result<Recipient<Drain>, String>>;

/// An entry of the list of children.
pub(crate) struct Factory {
    /// The role; also the `actor` label of its restarts.
    pub name: &'static str,
    /// Children of the same thread name share a thread.
    pub thread: String,
    /// Builds the child.
    pub build: Build,
}

/// A living child.
pub(super) struct Child {
    pub name: &'static str,
    pub thread: String,
    pub watch: Watch,
    pub drain: Recipient<Drain>,
}

//! Every message between components: the wiring diagram as types.
//!
//! ```text
//! source::Consumer --Validate--> validate::Validator --Write--> postgres::Writer (messages)
//!        ^                          |        ^                    |      |       |
//!        |                       Resolve  Resolved, Invalidate, Points Publish Observe
//!        |                          v        |  SettingsChanged   v      v       v
//!        |                       registry::Registry            influx  routes  state
//!        |                                                      Router <--Points-- outbox::Redelivery
//!        |                                                        |
//!        |                                                 QuarantinePoints
//!        |                                                        v
//!        +----------------------- Settle ------- postgres::Writer (rejected points)
//! ```
//!
//! [`Settle`] is the only arrow that points up; whoever holds a delivery's guard sends it.
//!
//! All of them carry chunks: one message per batch, never per event. All are sent without waiting: what bounds memory
//! is the consumers' window, not the mailboxes.

use std::sync::Arc;

use actix::{Message, Recipient};
use bytestring::ByteString;

pub use crate::delivery::Settle;
use crate::delivery::pending_ack::PendingAck;
use crate::delivery::{Delivery, DeliveryGuard, Lane, Origin};
use ingest_core::message::device::{DeviceKey, Lookup};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Rejection;
use ingest_core::routes::route::Matched;
pub(crate) use ingest_core::routes::route::TenantRoutes;
use ingest_core::validate::event::{CommandAck, Event, QuarantineRecord, ShadowReport};
use ingest_core::validate::settings::Settings;

/// Consumer to Validator: deliveries of one shard, in the order of their arrival.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Validate {
    /// Whose deliveries they are.
    pub lane: Lane,
    /// Each with its opened envelope.
    pub deliveries: Vec<(Delivery, Result<Envelope, Rejection>)>,
}

/// Validator to Registry: devices that its cache does not hold. Answered with one or more [`Resolved`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Resolve {
    /// Which devices; each at most once until it is answered. With the site a message claims, for auto-provisioning.
    pub devices: Vec<(DeviceKey, String)>,
    /// Who asks.
    pub reply_to: Recipient<Resolved>,
}

/// Registry to Validator: answers. A device that can't be looked up now stays unanswered until it can.
#[derive(Debug, Default, Message)]
#[rtype(result = "()")]
pub struct Resolved {
    /// One answer per device.
    pub devices: Vec<(DeviceKey, Answer)>,
}

/// What the registry knows of a device and its tenant, as of one moment.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The device.
    pub lookup: Lookup,
    /// Its tenant's enabled routes; none where the device is not registered.
    pub routes: TenantRoutes,
    /// Whether any device of its tenant is registered.
    pub tenant_is_registered: bool,
    /// Whether a message that claims a site would get the same answer: without a site no device is auto-provisioned.
    pub is_final: bool,
}

/// Validator to Registry: subscribes to what changes from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// Gets what is no longer true.
    pub invalidations: Recipient<Invalidate>,
    /// Gets the settings in force, at once and at every change.
    pub settings: Recipient<SettingsChanged>,
}

/// Consumer to Registry: subscribes to the settings in force, which come at once and at every change.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FollowSettings(pub Recipient<SettingsChanged>);

/// Registry to Validators: forget what you know of these.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Invalidate {
    /// These devices.
    Devices(Arc<[DeviceKey]>),
    /// Everything of a tenant: its devices and its routes.
    Tenant(Arc<str>),
    /// Everything (notifications may have been missed).
    All,
    /// PostgreSQL answers (`true`) or does not: while it does not, entries serve past their TTL up to the stated staleness.
    Reachable(bool),
    /// Changes are heard of (`true`) or not: while they are not, entries are trusted for moments only.
    Listening(bool),
}

/// Registry to everyone who subscribed: the run-time settings in force.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SettingsChanged(pub Arc<Settings>);

/// Validator to Writer: what is to be made durable.
#[derive(Debug, Default, Message)]
#[rtype(result = "()")]
pub struct Write {
    /// Rows of `raw_events`.
    pub events: Vec<(Delivery, Event)>,
    /// Rejections, for the counters and the quarantine.
    pub rejections: Vec<(Delivery, QuarantineRecord)>,
    /// Reports of the shadow lane.
    pub shadows: Vec<(Delivery, ShadowReport)>,
    /// Acknowledgements of the command lane.
    pub acks: Vec<(Delivery, CommandAck)>,
}

impl Write {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.rejections.is_empty() && self.shadows.is_empty() && self.acks.is_empty()
    }
}

/// Writer to the influx Router: points whose rows are committed, of one tenant.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Points {
    /// Whose database.
    pub tenant_id: Arc<str>,
    /// The points in the order of their rows.
    pub points: Vec<Point>,
}

/// One point on its way to InfluxDB.
#[derive(Debug)]
pub struct Point {
    /// Line protocol without its line feed.
    pub line: String,
    /// Where its message came from: names it in the quarantine.
    pub origin: Origin,
    /// With policy `required` the delivery ends only when the point is durable.
    pub guard: Option<DeliveryGuard>,
    /// With policy `best_effort` the point is on record until it is durable.
    pub owed: PendingAck,
}

/// Registry to the influx Router: these tenants have devices, which is new.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TenantsRegistered(pub Vec<Arc<str>>);

/// Batcher to the Writer of rejected points: points that InfluxDB refused for good, one quarantine event each
/// (`POINT_REFUSED`).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct QuarantinePoints {
    /// The points.
    pub points: Vec<RejectedPoint>,
}

/// A point that InfluxDB refused for good. Its row stays.
#[derive(Debug)]
pub struct RejectedPoint {
    /// Whose point.
    pub tenant_id: Arc<str>,
    /// Where its message came from: keys the quarantine event, so that a second refusal of the same point is stored once.
    pub origin: Origin,
    /// The point as line protocol without its line feed: the refused content.
    pub line: String,
    /// The server's words.
    pub message: String,
    /// With policy `required`: ends as done once the refusal is durable, for the point's fate is then settled.
    pub guard: Option<DeliveryGuard>,
    /// With policy `best_effort`: confirmed once the refusal is durable.
    pub owed: PendingAck,
}

/// Writer to the route Publisher: matched routes of committed rows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// One entry per delivery that triggers jobs.
    pub deliveries: Vec<RouteJobs>,
}

/// The jobs of one delivery, not written yet.
#[derive(Debug)]
pub struct RouteJobs {
    /// Whose subject.
    pub tenant_id: Arc<str>,
    /// Where the message came from: makes the jobs' message ids.
    pub origin: Origin,
    /// The topic; a copy, as a part of the message would keep all of it in memory.
    pub topic: Box<str>,
    /// The payload as its row holds it.
    pub payload: ByteString,
    /// One job for each of these.
    pub routes: Matched,
    /// The delivery ends only when the stream has acknowledged its jobs.
    pub guard: DeliveryGuard,
}

/// Writer to the derived state writer: committed events.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Observe {
    /// The events, their lines and routes already taken out.
    pub events: Vec<CommittedEvent>,
}

/// An event whose row is committed.
#[derive(Debug)]
pub struct CommittedEvent {
    /// The broker's time of its message, Unix microseconds.
    pub received_us: i64,
    /// Its row was not there before: the message came for the first time.
    pub is_new: bool,
    /// The event.
    pub event: Event,
}

/// Root to its children, top-down: finish what you have and take nothing new. The answer comes when that is done.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Root to the Consumers: give everything that is in flight back to the broker, now. Answers how much that was.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "usize")]
pub(crate) struct Release;

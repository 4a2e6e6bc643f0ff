//! Where committed rows go next, and the verdicts of their deliveries.

use std::collections::HashMap;
use std::sync::Arc;

use actix::Recipient;

use crate::delivery::pending_ack::PendingAck;
use crate::delivery::{Delivery, DeliveryGuard, Settlement};
use crate::message::{CommittedEvent, Observe, Point, Points, Publish, RouteJobs};
use crate::outbox::policy::WritePolicy;
use ingest_core::flow::disposition::Verdict;
use ingest_core::validate::event::Event;

/// The components that go on with committed rows; `None` where nobody wants them.
#[derive(Clone, Debug, Default)]
pub struct Downstream {
    /// Points, to the influx Router.
    pub points: Option<Recipient<Points>>,
    /// Whether deliveries wait for their points.
    pub policy: WritePolicy,
    /// Route jobs, to the Publisher. Deliveries always wait for theirs.
    pub jobs: Option<Recipient<Publish>>,
    /// Events, to the derived state writer.
    pub observe: Option<Recipient<Observe>>,
}

impl Downstream {
    /// Begins to hand on what a committed batch holds.
    pub(super) fn begin(&self, has_unknown_end: bool) -> Forwarding<'_> {
        Forwarding { downstream: self, has_unknown_end, chunks: Chunks::default(), settlement: Settlement::default() }
    }

    fn send(&self, chunks: Chunks) {
        if let Some(router) = &self.points {
            for (tenant_id, points) in chunks.points {
                router.do_send(Points { tenant_id, points });
            }
        }
        if let Some(publisher) = &self.jobs
            && !chunks.jobs.is_empty()
        {
            publisher.do_send(Publish { deliveries: chunks.jobs });
        }
        if let Some(state_writer) = &self.observe
            && !chunks.events.is_empty()
        {
            state_writer.do_send(Observe { events: chunks.events });
        }
    }
}

/// What a committed batch becomes: one message per component, tenant and lane.
#[derive(Debug)]
pub(super) struct Forwarding<'a> {
    downstream: &'a Downstream,
    /// Rows that were there before may be the batch's own.
    has_unknown_end: bool,
    chunks: Chunks,
    settlement: Settlement,
}

impl Forwarding<'_> {
    /// Settles what has no leg left.
    pub(super) fn settle(&mut self, guard: DeliveryGuard, verdict: Verdict) {
        self.settlement.add(guard, verdict);
    }

    /// Hands on an event. `was_there` says whether its row was there before.
    pub(super) fn event(&mut self, delivery: Delivery, mut event: Event, owed: PendingAck, was_there: bool) {
        // Whose row was there before had its jobs then, unless that delivery ended before they were published.
        if was_there && !delivery.is_redelivery() && !self.has_unknown_end {
            event.routes = None;
        }
        let line = event.line.take().filter(|_| self.downstream.points.is_some());
        let routes = event.routes.take().filter(|_| self.downstream.jobs.is_some());
        let waits_for_point = line.is_some() && self.downstream.policy == WritePolicy::Required;

        let origin = delivery.origin.clone();
        let received_us = origin.received_us;
        let guard = delivery.into_guard();
        let (for_point, for_jobs) = match (waits_for_point, routes.is_some()) {
            (false, false) => {
                self.settle(guard, Verdict::Done);
                (None, None)
            }
            (true, false) => (Some(guard), None),
            (false, true) => (None, Some(guard)),
            (true, true) => two(guard),
        };

        let tenant_id = &event.device.key.tenant_id;
        if let (Some(routes), Some(guard)) = (routes, for_jobs) {
            let (tenant_id, origin, payload) = (tenant_id.clone(), origin.clone(), event.payload.clone());
            let topic = event.topic[..].into();
            self.chunks.jobs.push(RouteJobs { tenant_id, origin, topic, payload, routes, guard });
        }
        if let Some(line) = line {
            let point = Point { line, origin, guard: for_point, owed };
            match self.chunks.points.get_mut(tenant_id) {
                Some(points) => points.push(point),
                None => drop(self.chunks.points.insert(tenant_id.clone(), vec![point])),
            }
        }
        if self.downstream.observe.is_some() {
            self.chunks.events.push(CommittedEvent { received_us, is_new: !was_there, event });
        }
    }

    /// Sends everything.
    pub(super) fn send(self) {
        self.downstream.send(self.chunks);
        self.settlement.send();
    }
}

/// What a batch becomes for the other components.
#[derive(Debug, Default)]
struct Chunks {
    points: HashMap<Arc<str>, Vec<Point>>,
    jobs: Vec<RouteJobs>,
    events: Vec<CommittedEvent>,
}

/// Two legs of a duty.
fn two(guard: DeliveryGuard) -> (Option<DeliveryGuard>, Option<DeliveryGuard>) {
    let mut legs = guard.split(2).into_iter();
    (legs.next(), legs.next())
}

//! Where committed rows go next, and the verdicts of their deliveries.

use std::collections::HashMap;
use std::sync::Arc;

use actix::Recipient;

use super::batch::Batch;
use crate::delivery::pending_ack::PendingAck;
use crate::delivery::{Delivery, DeliveryGuard, Settlement};
use crate::message::{Observe, Point, Points, Publish, RouteJobs};
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
    /// Events, to the derived state writer of the derived state.
    pub observe: Option<Recipient<Observe>>,
}

impl Downstream {
    /// Hands on what a committed batch holds and settles what has no leg left: one message per room, tenant and lane.
    pub fn forward(&self, batch: Batch) {
        let mut settlement = Settlement::default();
        let mut chunks = Chunks::default();
        let mut owed = batch.owed.into_iter();
        let mut was_there = batch.was_there.into_iter();
        for (delivery, mut event) in batch.events {
            let owed = owed.next().unwrap_or_default();
            // Whose row was there before had its jobs then, unless that delivery ended before they were published.
            let has_had_jobs =
                was_there.next().unwrap_or_default() && !delivery.is_redelivery() && !batch.has_unknown_end;
            if has_had_jobs {
                event.routes = None;
            }
            let received_us = delivery.origin.received_us;
            self.forward_event(delivery, &mut event, owed, &mut chunks, &mut settlement);
            if self.observe.is_some() {
                chunks.events.push((received_us, event));
            }
        }
        for refused in batch.refusals {
            let verdict = refused.verdict();
            if let Some(guard) = refused.guard {
                settlement.add(guard, verdict);
            }
            refused.owed.confirm();
        }
        for (delivery, _) in batch.shadows {
            settlement.add(delivery.into_guard(), Verdict::Done);
        }
        for (delivery, _) in batch.acks {
            settlement.add(delivery.into_guard(), Verdict::Done);
        }
        self.send(chunks);
        settlement.send();
    }

    fn forward_event(
        &self,
        delivery: Delivery,
        event: &mut Event,
        owed: PendingAck,
        chunks: &mut Chunks,
        settlement: &mut Settlement,
    ) {
        let line = event.line.take().filter(|_| self.points.is_some());
        let routes = event.routes.take().filter(|_| self.jobs.is_some());
        let waits_for_point = line.is_some() && self.policy == WritePolicy::Required;

        let origin = delivery.origin.clone();
        let guard = delivery.into_guard();
        let (for_point, for_jobs) = match (waits_for_point, routes.is_some()) {
            (false, false) => {
                settlement.add(guard, Verdict::Done);
                (None, None)
            }
            (true, false) => (Some(guard), None),
            (false, true) => (None, Some(guard)),
            (true, true) => two(guard),
        };

        let tenant_id = &event.device.key.tenant_id;
        if let (Some(routes), Some(guard)) = (routes, for_jobs) {
            let (tenant_id, origin, payload) = (tenant_id.clone(), origin.clone(), event.payload.clone());
            chunks.jobs.push(RouteJobs { tenant_id, origin, topic: event.topic[..].into(), payload, routes, guard });
        }
        if let Some(line) = line {
            let point = Point { line, origin, guard: for_point, owed };
            match chunks.points.get_mut(tenant_id) {
                Some(points) => points.push(point),
                None => drop(chunks.points.insert(tenant_id.clone(), vec![point])),
            }
        }
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

/// What a batch becomes for the other components.
#[derive(Default)]
struct Chunks {
    points: HashMap<Arc<str>, Vec<Point>>,
    jobs: Vec<RouteJobs>,
    events: Vec<(i64, Event)>,
}

/// Two legs of a duty.
fn two(guard: DeliveryGuard) -> (Option<DeliveryGuard>, Option<DeliveryGuard>) {
    let mut legs = guard.split(2).into_iter();
    (legs.next(), legs.next())
}

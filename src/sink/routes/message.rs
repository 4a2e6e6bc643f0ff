//! A delivery's jobs on their way to the stream.

use std::time::Instant;

use async_nats::Subject;

use super::budget::Budget;
use crate::delivery::Origin;
use crate::message::RouteJobs;
use crate::runtime::fault::Fault;
use ingest_core::message::names::subject_token;
use ingest_core::routes::route::{JobMessage, Route};

/// The jobs of one delivery that the stream has not acknowledged yet. Dropped with jobs in it, it gives the delivery
/// back.
#[derive(Debug)]
pub(super) struct RouteMessage {
    /// What is left to be published, and the delivery's leg.
    pub jobs: RouteJobs,
    /// Since when it waits.
    pub since: Instant,
}

/// Jobs of a route message that are published in one attempt. Only now are their bodies written.
#[derive(Debug)]
pub(super) struct PendingPublish {
    /// The route message; may hold more jobs than go out now.
    pub route_message: RouteMessage,
    /// `routes.{tenant}`.
    pub subject: Subject,
    message: JobMessage,
    /// The numbers of the routes whose jobs go out.
    routes: Vec<usize>,
}

/// One job as the stream gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedJob {
    /// `Nats-Msg-Id`.
    pub message_id: String,
    /// The job as JSON.
    pub body: String,
}

/// What became of a route message in one attempt.
#[derive(Debug, Default)]
pub(super) struct AttemptOutcome {
    /// Jobs that the stream has now, including those it had before.
    pub published: u64,
    /// The message ids of jobs that it can never take, and why not: they are given up.
    pub given_up: Vec<(String, String)>,
    /// Why jobs are left; the first such fault.
    pub fault: Option<Fault>,
}

impl RouteMessage {
    /// Takes as many of its jobs as the budget has room for.
    ///
    /// # Errors
    /// The route message, where there is no room for any.
    #[expect(clippy::result_large_err, reason = "it goes back where it came from")]
    pub(super) fn take_out(self, budget: &mut Budget) -> Result<PendingPublish, RouteMessage> {
        let RouteJobs { tenant_id, topic, payload, routes, .. } = &self.jobs;
        let message = JobMessage::new(tenant_id, topic, payload.clone());
        let fits = |(_, route): &(usize, &Route)| budget.take(route.job_len(&message));
        let routes: Vec<usize> = routes.iter().take_while(fits).map(|(index, _)| index).collect();
        if routes.is_empty() {
            return Err(self);
        }
        let subject = format!("routes.{}", subject_token(tenant_id)).into();
        Ok(PendingPublish { subject, message, routes, route_message: self })
    }
}

impl PendingPublish {
    /// Writes the jobs, one after the other as they are asked for.
    pub(super) fn encoded_jobs(&self) -> impl Iterator<Item = EncodedJob> {
        let RouteJobs { origin, routes, .. } = &self.route_message.jobs;
        self.routes.iter().map(|index| {
            let route = routes.route(*index);
            EncodedJob { message_id: message_id(origin, route.id()), body: route.job(&self.message) }
        })
    }

    /// The bytes of the bodies.
    pub(super) fn bytes(&self) -> usize {
        let route = |index: &usize| self.route_message.jobs.routes.route(*index);
        self.routes.iter().map(|index| route(index).job_len(&self.message)).sum()
    }

    /// Whether all jobs of the route message go out.
    pub(super) fn is_whole(&self) -> bool {
        self.routes.len() == self.route_message.jobs.routes.len()
    }

    /// Takes out of the route message what needs no further attempt. `results` are those of its jobs in their order.
    pub(super) fn sort(
        mut self,
        results: impl IntoIterator<Item = Result<(), Fault>>,
    ) -> (RouteMessage, AttemptOutcome) {
        let mut outcome = AttemptOutcome::default();
        let RouteJobs { origin, routes, .. } = &mut self.route_message.jobs;
        for (index, result) in self.routes.into_iter().zip(results) {
            match result {
                Ok(()) => outcome.published += 1,
                Err(Fault::Poison { message, .. }) => {
                    outcome.given_up.push((message_id(origin, routes.route(index).id()), message));
                }
                Err(fault) => {
                    outcome.fault.get_or_insert(fault);
                    continue;
                }
            }
            routes.remove(index);
        }
        (self.route_message, outcome)
    }
}

/// A job's `Nats-Msg-Id`: `{stream}:{sequence}:{broker's time in microseconds}:{route id}`. A redelivery repeats all of
/// them. The time tells a message from the one of the same number in a stream that was created again.
fn message_id(origin: &Origin, route_id: &str) -> String {
    // Escaped, as a header can't hold line feeds; ids of the usual kinds stay as they are.
    format!("{}:{}:{}:{}", origin.stream, origin.stream_seq, origin.received_us, subject_token(route_id))
}

#[cfg(test)]
mod tests {
    use super::super::testing::route_message;
    use super::*;

    const PLENTY: Budget = Budget::new(1_000, 1024 * 1024);

    #[actix::test]
    async fn a_jobs_id_holds_the_brokers_facts_and_the_route() {
        let pending = route_message("a.b c", 120, &["7", "a\nb"]).take_out(&mut PLENTY.clone()).unwrap();
        assert_eq!(pending.subject.as_str(), "routes.a%2Eb%20c");
        let ids: Vec<_> = pending.encoded_jobs().map(|job| job.message_id).collect();
        assert_eq!(ids, ["TELEMETRY:120:1795219200123456:7", "TELEMETRY:120:1795219200123456:a%0Ab"]);
    }

    #[actix::test]
    async fn only_what_may_still_arrive_stays_in_the_route_message() {
        let pending = route_message("acme", 1, &["1", "2", "3", "4"]).take_out(&mut PLENTY.clone()).unwrap();
        let late = || Err(Fault::Transient("late".to_owned()));
        let large = Err(Fault::Poison { at: None, message: "too large".to_owned() });
        let (route_message, outcome) = pending.sort([Ok(()), late(), large, Err(Fault::Fatal("gone".to_owned()))]);
        assert_eq!((outcome.published, outcome.fault), (1, Some(Fault::Transient("late".to_owned()))));
        assert_eq!(outcome.given_up, [("TELEMETRY:1:1795219200123456:3".to_owned(), "too large".to_owned())]);
        assert_eq!(route_message.jobs.routes.iter().map(|(_, route)| route.id()).collect::<Vec<_>>(), ["2", "4"]);

        let (route_message, outcome) = route_message.take_out(&mut PLENTY.clone()).unwrap().sort([Ok(()), Ok(())]);
        assert_eq!((outcome.published, outcome.fault), (2, None));
        assert!(route_message.jobs.routes.is_empty());
    }

    #[actix::test]
    async fn a_route_message_goes_out_in_as_many_parts_as_the_budget_asks_for() {
        let mut route_message = route_message("acme", 1, &["1", "2", "3", "4", "5"]);
        let mut seen = Vec::new();
        while !route_message.jobs.routes.is_empty() {
            let pending = route_message.take_out(&mut Budget::new(2, 1024 * 1024)).unwrap();
            let sent: Vec<_> = pending.encoded_jobs().map(|job| job.message_id).collect();
            assert_eq!(pending.is_whole(), sent.len() == pending.route_message.jobs.routes.len());
            let results: Vec<_> = sent.iter().map(|_| Ok(())).collect();
            seen.extend(sent);
            (route_message, _) = pending.sort(results);
        }
        assert_eq!(seen.len(), 5);
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }
}

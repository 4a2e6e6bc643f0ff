//! A delivery's jobs on their way to the stream.

use std::time::Instant;

use async_nats::Subject;
use bytes::Bytes;

use crate::core::names::subject_token;
use crate::delivery::{Origin, Ticket};
use crate::message::RouteJobs;
use crate::sink::Fault;

/// The jobs of one delivery that the stream has not acknowledged yet. Dropped with jobs in it, it gives the delivery
/// back.
#[derive(Debug)]
pub struct Parcel {
    /// `routes.{tenant}`.
    pub subject: Subject,
    /// Where the delivery comes from.
    pub origin: Origin,
    /// What is still to be acknowledged.
    pub jobs: Vec<Letter>,
    /// The delivery's leg.
    pub ticket: Ticket,
    /// Since when it has been tried.
    pub since: Instant,
    /// Failed attempts.
    pub failures: u64,
}

/// One job as the stream gets it.
#[derive(Clone, Debug)]
pub struct Letter {
    /// `Nats-Msg-Id`.
    pub message_id: String,
    /// The job as JSON.
    pub body: Bytes,
}

/// What became of a parcel in one attempt.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Jobs that the stream has now, including those it had before.
    pub published: u64,
    /// Jobs that it can never take, and why not: they are given up.
    pub given_up: Vec<(Letter, String)>,
    /// Why jobs are left; the first such fault.
    pub fault: Option<Fault>,
}

impl Parcel {
    /// Packs a delivery's jobs.
    pub fn new(jobs: RouteJobs) -> Self {
        let RouteJobs { tenant_id, origin, jobs, ticket } = jobs;
        let letters = jobs
            .into_iter()
            .map(|job| Letter { message_id: message_id(&origin, &job.route_id), body: job.body.into() });
        Self {
            subject: format!("routes.{}", subject_token(&tenant_id)).into(),
            jobs: letters.collect(),
            origin,
            ticket,
            since: Instant::now(),
            failures: 0,
        }
    }

    /// Takes out what needs no further attempt. `results` are those of the jobs in their order.
    pub fn sort(&mut self, results: impl IntoIterator<Item = Result<(), Fault>>) -> Attempt {
        let mut attempt = Attempt::default();
        let mut left = Vec::new();
        for (letter, result) in std::mem::take(&mut self.jobs).into_iter().zip(results) {
            match result {
                Ok(()) => attempt.published += 1,
                Err(Fault::Poison { message, .. }) => attempt.given_up.push((letter, message)),
                Err(fault) => {
                    attempt.fault.get_or_insert(fault);
                    left.push(letter);
                }
            }
        }
        self.jobs = left;
        self.failures += u64::from(attempt.fault.is_some());
        attempt
    }
}

/// A job's `Nats-Msg-Id`: `{stream}:{sequence}:{broker's time in microseconds}:{route id}`. A redelivery repeats all of
/// them. The time tells a message from the one of the same number in a stream that was created anew.
fn message_id(origin: &Origin, route_id: &str) -> String {
    // Escaped, as a header can't hold line feeds; ids of the usual kinds stay as they are.
    format!("{}:{}:{}:{}", origin.stream, origin.stream_seq, origin.received_us, subject_token(route_id))
}

#[cfg(test)]
mod tests {
    use actix::prelude::*;

    use super::*;
    use crate::core::event::Job;
    use crate::delivery::{Delivery, Desk, Lane};
    use crate::message::Settle;

    struct Deaf;
    impl Actor for Deaf {
        type Context = Context<Self>;
    }
    impl Handler<Settle> for Deaf {
        type Result = ();
        fn handle(&mut self, _: Settle, _: &mut Self::Context) {}
    }

    fn parcel(jobs: &[&str]) -> Parcel {
        let origin = Origin { stream: "TELEMETRY".into(), stream_seq: 120, received_us: 1_795_219_200_123_456 };
        let desk = Desk::new(Lane::Telemetry, Deaf.start().recipient());
        let ticket = Delivery::new(origin.clone(), 1, Bytes::new(), 0, desk).into_ticket();
        let job = |id: &&str| Job { route_id: (*id).to_owned(), body: format!("job {id}") };
        Parcel::new(RouteJobs { tenant_id: "a.b c".into(), origin, jobs: jobs.iter().map(job).collect(), ticket })
    }

    #[actix::test]
    async fn a_jobs_id_holds_the_brokers_facts_and_the_route() {
        let parcel = parcel(&["7", "a\nb"]);
        assert_eq!(parcel.subject.as_str(), "routes.a%2Eb%20c");
        let ids: Vec<_> = parcel.jobs.iter().map(|job| job.message_id.as_str()).collect();
        assert_eq!(ids, ["TELEMETRY:120:1795219200123456:7", "TELEMETRY:120:1795219200123456:a%0Ab"]);
    }

    #[actix::test]
    async fn only_what_may_still_arrive_stays_in_the_parcel() {
        let mut parcel = parcel(&["1", "2", "3", "4"]);
        let late = || Err(Fault::Transient("late".to_owned()));
        let large = Err(Fault::Poison { at: None, message: "too large".to_owned() });
        let attempt = parcel.sort([Ok(()), late(), large, Err(Fault::Fatal("gone".to_owned()))]);
        assert_eq!((attempt.published, attempt.fault), (1, Some(Fault::Transient("late".to_owned()))));
        assert_eq!(attempt.given_up.len(), 1);
        assert_eq!(attempt.given_up[0].0.body, "job 3");
        assert_eq!(parcel.jobs.iter().map(|job| job.body.clone()).collect::<Vec<_>>(), ["job 2", "job 4"]);
        assert_eq!(parcel.failures, 1);

        let attempt = parcel.sort([Ok(()), Ok(())]);
        assert_eq!((attempt.published, attempt.fault), (2, None));
        assert!(parcel.jobs.is_empty());
    }
}

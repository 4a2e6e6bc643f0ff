//! The route messages that wait, by tenant: tenants take turns, and one whose jobs are not taken is probed and holds up nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::message::{PendingPublish, RouteMessage};
use ingest_core::flow::backoff::delay_for_attempt;

/// Pauses between two probes of a tenant: short against `retry_secs`, so that a stream that is back gets its jobs at once.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A tenant that was refused and sends nothing any more is forgotten after so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Every route message that is not out in an attempt.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    tenants: HashMap<Arc<str>, Waiting>,
    /// Tenants that may publish and have something to publish, each once; those that are refused are passed over.
    turns: VecDeque<Arc<str>>,
    len: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    route_messages: VecDeque<RouteMessage>,
    has_turn: bool,
    refused: Option<RejectedJobs>,
}

/// The stream did not take a tenant's jobs: one at a time goes out until it takes one.
#[derive(Clone, Copy, Debug)]
struct RejectedJobs {
    failures: u64,
    last: Instant,
    is_probing: bool,
}

impl RejectedJobs {
    fn is_due(&self, now: Instant) -> bool {
        !self.is_probing && now >= self.last + delay_for_attempt(self.failures, RETRY_FIRST, RETRY_MAX)
    }
}

impl Backlog {
    /// How many route messages wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether any tenant's jobs are refused.
    pub(super) fn is_refused(&self) -> bool {
        self.tenants.values().any(|waiting| waiting.refused.is_some())
    }

    /// How many route messages wait for tenants whose jobs are refused.
    pub(super) fn held(&self) -> usize {
        self.tenants
            .values()
            .filter(|waiting| waiting.refused.is_some())
            .map(|waiting| waiting.route_messages.len())
            .sum()
    }

    /// Whether this tenant's jobs are refused.
    pub(super) fn is_holding(&self, tenant_id: &str) -> bool {
        self.tenants.get(tenant_id).is_some_and(|waiting| waiting.refused.is_some())
    }

    /// A route message that came now.
    pub(super) fn push(&mut self, route_message: RouteMessage) {
        let tenant_id = route_message.jobs.tenant_id.clone();
        self.tenants.entry(tenant_id.clone()).or_default().route_messages.push_back(route_message);
        self.len += 1;
        self.give_turn(&tenant_id);
    }

    /// A route message with jobs left, before those that came after it.
    pub(super) fn put_back(&mut self, route_message: RouteMessage) {
        let tenant_id = route_message.jobs.tenant_id.clone();
        self.tenants.entry(tenant_id.clone()).or_default().route_messages.push_front(route_message);
        self.len += 1;
        self.give_turn(&tenant_id);
    }

    /// The next jobs, a route message of each tenant in turn.
    pub(super) fn take(&mut self, mut budget: Budget) -> Vec<PendingPublish> {
        let mut taken = Vec::new();
        while let Some(tenant_id) = self.turns.pop_front() {
            let Some(waiting) = self.tenants.get_mut(&tenant_id) else { continue };
            waiting.has_turn = false;
            if waiting.refused.is_some() {
                continue;
            }
            let Some(route_message) = waiting.route_messages.pop_front() else { continue };
            match route_message.take_out(&mut budget) {
                Ok(pending) => {
                    let is_whole = pending.is_whole();
                    self.len -= 1;
                    taken.push(pending);
                    self.give_turn(&tenant_id);
                    if !is_whole {
                        break;
                    }
                }
                Err(route_message) => {
                    waiting.route_messages.push_front(route_message);
                    waiting.has_turn = true;
                    self.turns.push_front(tenant_id);
                    break;
                }
            }
        }
        taken
    }

    /// One job of each tenant whose jobs are refused and that is due for a probe.
    pub(super) fn take_probes(&mut self, now: Instant, mut budget: Budget) -> Vec<PendingPublish> {
        let mut taken = Vec::new();
        for waiting in self.tenants.values_mut() {
            let Some(refused) = waiting.refused.as_mut().filter(|refused| refused.is_due(now)) else { continue };
            let Some(route_message) = waiting.route_messages.pop_front() else { continue };
            let mut one = Budget::new(1, usize::MAX);
            match route_message.take_out(&mut one) {
                Ok(pending) if budget.take(pending.bytes()) => {
                    refused.is_probing = true;
                    self.len -= 1;
                    taken.push(pending);
                }
                Ok(PendingPublish { route_message, .. }) | Err(route_message) => {
                    waiting.route_messages.push_front(route_message);
                    break;
                }
            }
        }
        taken
    }

    /// The stream did not take a job of this tenant.
    pub(super) fn refused(&mut self, tenant_id: &Arc<str>, now: Instant) {
        let waiting = self.tenants.entry(tenant_id.clone()).or_default();
        let failures = waiting.refused.map_or(0, |refused| refused.failures) + 1;
        waiting.refused = Some(RejectedJobs { failures, last: now, is_probing: false });
    }

    /// The stream took a job of this tenant.
    pub(super) fn taken(&mut self, tenant_id: &Arc<str>) {
        let Some(waiting) = self.tenants.get_mut(tenant_id) else { return };
        waiting.refused = None;
        if waiting.route_messages.is_empty() {
            self.tenants.remove(tenant_id);
        } else {
            self.give_turn(tenant_id);
        }
    }

    /// Takes out what has waited for `bound` for tenants whose jobs are refused, and forgets those that have been silent.
    pub(super) fn take_overdue(&mut self, now: Instant, bound: Duration) -> Vec<RouteMessage> {
        let mut overdue = Vec::new();
        self.tenants.retain(|_, waiting| {
            let Some(refused) = waiting.refused else { return true };
            while waiting.route_messages.front().is_some_and(|route_message| now >= route_message.since + bound) {
                overdue.extend(waiting.route_messages.pop_front());
            }
            !waiting.route_messages.is_empty() || refused.is_probing || now < refused.last + FORGOTTEN_AFTER
        });
        self.len -= overdue.len();
        overdue
    }

    fn give_turn(&mut self, tenant_id: &Arc<str>) {
        let Some(waiting) = self.tenants.get_mut(tenant_id) else { return };
        if waiting.route_messages.is_empty() && waiting.refused.is_none() {
            self.tenants.remove(tenant_id);
        } else if !waiting.has_turn && !waiting.route_messages.is_empty() && waiting.refused.is_none() {
            waiting.has_turn = true;
            self.turns.push_back(tenant_id.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::route_message;
    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    fn plenty() -> Budget {
        Budget::new(1_000, 1024 * 1024)
    }

    /// Who publishes how many jobs.
    fn jobs(pending: &[PendingPublish]) -> Vec<(&str, u64, usize)> {
        let of = |one: &'_ PendingPublish| one.encoded_jobs().count();
        pending
            .iter()
            .map(|one| (&*one.route_message.jobs.tenant_id, one.route_message.jobs.origin.stream_seq, of(one)))
            .collect()
    }

    #[actix::test]
    async fn tenants_take_turns_however_much_one_of_them_brings() {
        let mut backlog = Backlog::default();
        (0..3).for_each(|number| backlog.push(route_message("large", number, &["1", "2", "3", "4"])));
        backlog.push(route_message("small", 7, &["1"]));
        let taken = backlog.take(Budget::new(7, 1024 * 1024));
        assert_eq!(jobs(&taken), [("large", 0, 4), ("small", 7, 1), ("large", 1, 2)]);
        assert_eq!(backlog.len(), 1);
        for pending in taken {
            let sent = pending.encoded_jobs().count();
            let (route_message, _) = pending.sort((0..sent).map(|_| Ok(())));
            if !route_message.jobs.routes.is_empty() {
                backlog.put_back(route_message);
            }
        }
        assert_eq!(jobs(&backlog.take(plenty())), [("large", 1, 2), ("large", 2, 4)]);
        assert_eq!((backlog.len(), backlog.tenants.len(), backlog.turns.len()), (0, 0, 0));
    }

    #[actix::test]
    async fn a_tenant_whose_jobs_are_refused_is_probed_with_one_job_and_holds_up_nobody() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        (0..3).for_each(|number| backlog.push(route_message("full", number, &["1", "2"])));
        let first = backlog.take(Budget::new(2, 1024 * 1024)).remove(0);
        backlog.refused(&"full".into(), now);
        backlog.put_back(first.route_message);
        backlog.push(route_message("well", 9, &["1"]));
        assert_eq!(jobs(&backlog.take(plenty())), [("well", 9, 1)]);
        assert!(backlog.is_refused() && backlog.is_holding("full") && !backlog.is_holding("well"));
        assert_eq!((backlog.len(), backlog.held()), (3, 3));

        assert!(backlog.take_probes(now, plenty()).is_empty(), "not yet");
        let later = now + RETRY_FIRST;
        let mut probes = backlog.take_probes(later, plenty());
        assert_eq!(jobs(&probes), [("full", 0, 1)]);
        assert!(backlog.take_probes(later + BOUND, plenty()).is_empty(), "one probe at a time");
        let (route_message, _) = probes.remove(0).sort([Ok(())]);
        backlog.put_back(route_message);
        backlog.taken(&"full".into());
        assert_eq!(jobs(&backlog.take(plenty())), [("full", 0, 1), ("full", 1, 2), ("full", 2, 2)]);
        assert!(!backlog.is_refused());
    }

    #[actix::test]
    async fn what_has_waited_too_long_for_a_refused_tenant_is_given_out_tried_or_not() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.push(route_message("well", 1, &["1"]));
        (0..3).for_each(|number| backlog.push(route_message("full", number, &["1"])));
        backlog.refused(&"full".into(), now);
        assert!(backlog.take_overdue(now, BOUND).is_empty());
        let later = Instant::now() + BOUND;
        assert_eq!(backlog.take_overdue(later, BOUND).len(), 3);
        assert_eq!((backlog.len(), backlog.is_refused()), (1, true));
        assert!(backlog.take_overdue(later + FORGOTTEN_AFTER, BOUND).is_empty());
        assert!(!backlog.is_refused(), "a silent tenant is forgotten");
        assert_eq!(jobs(&backlog.take(plenty())), [("well", 1, 1)]);
    }

    #[actix::test]
    async fn the_pause_between_probes_grows_to_two_seconds() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.push(route_message("full", 1, &["1"]));
        (0..20).for_each(|_| backlog.refused(&"full".into(), now));
        assert!(backlog.take_probes(now + RETRY_MAX / 2, plenty()).is_empty());
        assert_eq!(backlog.take_probes(now + RETRY_MAX, plenty()).len(), 1);
    }
}

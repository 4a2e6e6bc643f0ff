//! Matches: the routes of a tenant that an event matches.

use std::sync::Arc;

use super::definition::Route;
use crate::message::metric::{self, Metric};

/// A tenant's enabled routes.
pub type TenantRoutes = Arc<[Route]>;

/// The routes that an event matches and whose jobs are still to be published: one bit per route of its tenant. The jobs
/// themselves are written when they are published, so that messages times routes do not multiply memory.
#[derive(Clone, Debug)]
pub struct Matched {
    routes: TenantRoutes,
    left: Box<[u64]>,
}

impl Matched {
    /// The routes of `routes` that match a message; `None` where none does. A tenant without routes costs nothing, and the
    /// payload is read once, and only where a topic matches and values are asked for.
    pub fn of(routes: &TenantRoutes, topic: &str, payload: &str) -> Option<Self> {
        let mut values = None;
        let mut left = None;
        for (index, route) in routes.iter().enumerate() {
            if route.makes_jobs
                && route.topic_filter.matches(topic)
                && route.payload_filter.as_ref().is_none_or(|filter| {
                    let values = values.get_or_insert_with(|| Values::read(payload));
                    filter.matches(|name| last(&values.metrics, name), |name| last(&values.members, name))
                })
            {
                let left = left.get_or_insert_with(|| vec![0_u64; routes.len().div_ceil(64)].into_boxed_slice());
                left[index / 64] |= 1 << (index % 64);
            }
        }
        left.map(|left| Self { routes: routes.clone(), left })
    }

    /// The routes whose jobs are left, in the tenant's order, each after its number.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Route)> {
        self.routes.iter().enumerate().filter(|(index, _)| self.left[index / 64] & 1 << (index % 64) != 0)
    }

    /// The route of a number that [`Matched::iter`] gave.
    pub fn route(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// Marks the job of this route as done.
    pub fn remove(&mut self, index: usize) {
        self.left[index / 64] &= !(1 << (index % 64));
    }

    /// How many jobs are left.
    pub fn len(&self) -> usize {
        self.left.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether no job is left.
    pub fn is_empty(&self) -> bool {
        self.left.iter().all(|bits| *bits == 0)
    }
}

/// The values that payload filters compare.
struct Values<'a> {
    members: Vec<Metric<'a>>,
    metrics: Vec<Metric<'a>>,
}

impl<'a> Values<'a> {
    fn read(payload: &'a str) -> Self {
        let members = metric::read(payload).unwrap_or_default();
        let metrics = last(&members, "metrics").and_then(metric::read).unwrap_or_default();
        Self { members, metrics }
    }
}

/// Of equal names the last one counts.
fn last<'a>(members: &[Metric<'a>], name: &str) -> Option<&'a str> {
    members.iter().rev().find(|member| member.key == name).map(|member| member.raw)
}

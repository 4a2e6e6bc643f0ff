//! Metrics of the supervisor.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::exposition::Exposition;

/// `ingest_actor_restarts_total{actor}`: restarts of the tree, by the actor that caused them.
#[derive(Clone, Debug)]
pub(super) struct Restarts(Family<ActorLabel, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActorLabel {
    actor: &'static str,
}

impl Restarts {
    pub(super) fn new(exposition: &mut Exposition) -> Self {
        Self(exposition.default("actor_restarts", "Restarts by the supervisor"))
    }

    /// Creates an actor's series at zero: an alert on a series that does not exist yet never fires.
    pub(super) fn create(&self, actor: &'static str) {
        drop(self.0.get_or_create(&ActorLabel { actor }));
    }

    /// Counts a restart.
    pub(super) fn count(&self, actor: &'static str) {
        self.0.get_or_create(&ActorLabel { actor }).inc();
    }
}

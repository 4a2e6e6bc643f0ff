//! The logger, metrics and readiness that all generations share.

use std::sync::Arc;

use actix_rt::ArbiterHandle;
use slog::{Logger, o};

use crate::metrics::Metrics;
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::readiness::Readiness;
use crate::runtime::spawn::SpawnContext;

/// What children of every generation report to.
#[derive(Clone)]
pub(crate) struct Environment {
    /// The root logger.
    pub log: Logger,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The node's readiness.
    pub readiness: Arc<Readiness>,
}

impl Environment {
    /// The spawn context for a child of this role and component.
    pub(super) fn spawn_context(
        &self,
        name: &'static str,
        component: &'static str,
        thread: ArbiterHandle,
        actor_guard: ActorGuard,
    ) -> SpawnContext {
        SpawnContext {
            thread,
            traffic: self.metrics.actors.traffic(name),
            actor_guard,
            log: self.log.new(o!("component" => component)),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
        }
    }
}

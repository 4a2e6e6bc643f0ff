//! The logger, metrics and readiness that all generations share.

use std::sync::Arc;

use actix_rt::ArbiterHandle;
use slog::{Logger, o};

use crate::metrics::{Metrics, Traffic};
use crate::runtime::actor_guard::ActorGuard;
use crate::runtime::instances::Instances;
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
    /// Every actor by its own name.
    pub instances: Arc<Instances>,
}

impl Environment {
    /// The spawn context for a child of this component.
    pub(super) fn spawn_context(
        &self,
        component: &'static str,
        thread: ArbiterHandle,
        actor_guard: ActorGuard,
        traffic: Arc<Traffic>,
    ) -> SpawnContext {
        SpawnContext {
            thread,
            traffic,
            actor_guard,
            log: self.log.new(o!("component" => component)),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
        }
    }
}

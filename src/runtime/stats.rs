//! Component statistics for `/stats`: each component registers a closure that returns its state as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

type Provider = Arc<dyn Fn() -> Value + Send + Sync>;

/// The registered providers.
#[derive(Default)]
pub(crate) struct Stats(Mutex<BTreeMap<String, Provider>>);

impl Stats {
    /// No providers yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Registers a component's provider, replacing the one of the previous generation. It is called on the HTTP server's
    /// thread: it reads shared state and never waits for an actor.
    pub(crate) fn register(&self, name: impl Into<String>, provider: impl Fn() -> Value + Send + Sync + 'static) {
        self.0.lock().insert(name.into(), Arc::new(provider));
    }

    /// The current state of all components, by name.
    pub(crate) fn collect(&self) -> Map<String, Value> {
        // The lock is not held while providers run: one that registers another would deadlock.
        let providers = self.0.lock().clone();
        providers.into_iter().map(|(name, provider)| (name, provider())).collect()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let providers = self.0.lock();
        f.debug_set().entries(providers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_generation_replaces_the_provider() {
        let stats = Stats::new();
        stats.register("writer", || json!({"generation": 1}));
        stats.register("router", || json!({"batchers": 3}));
        stats.register("writer", || json!({"generation": 2}));
        assert_eq!(Value::Object(stats.collect()), json!({"writer": {"generation": 2}, "router": {"batchers": 3}}));
    }
}

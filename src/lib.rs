//! `ingest-node`: validates IoT messages from NATS JetStream and makes them durable before it acknowledges them.
#![forbid(unsafe_code)]

mod app;
mod commands;
mod config;
mod delivery;
mod gateway;
mod http;
mod message;
mod metrics;
mod nats;
mod observe;
mod outbox;
mod postgres;
mod registry;
mod runtime;
mod source;
mod supervisor;
mod validate;

/// Where things become durable. Siblings never know each other; the writer hands on to the others by message.
mod sink {
    pub(crate) mod influx;
    pub(crate) mod postgres;
    pub(crate) mod routes;
    pub(crate) mod state;
}

pub use self::commands::dispatch::run_program as run;

/// The parts that the integration tests drive on their own, between servers of theirs. Not in a release.
#[cfg(feature = "testing")]
pub mod testing {
    /// `delivery`.
    pub mod delivery {
        pub use crate::delivery::{Delivery, Lane, Lanes, Origin, SettleHandle, Settlement};
    }
    /// `message`.
    pub mod message {
        pub use crate::message::{
            Answer, CommittedEvent, Drain, Invalidate, Observe, Points, Publish, QuarantinePoints, RejectedPoint,
            Resolve, Resolved, RouteJobs, SettingsChanged, Settle, Subscribe, Write,
        };
    }
    /// `metrics`.
    pub mod metrics {
        pub use crate::metrics::{Effect, FlushResult, LookupResult, Metrics, Outcome};
    }
    /// `nats`.
    pub mod nats {
        /// `nats::config`.
        pub mod config {
            pub use crate::nats::config::Config;
        }
        /// `nats::provision`.
        pub mod provision {
            pub use crate::nats::provision::Provisioner;
        }
    }
    /// `outbox`.
    pub mod outbox {
        /// `outbox::compact`.
        pub mod compact {
            pub use crate::outbox::compact::{CompactPage, Compacted, Compactor, SLOT_US};
        }
        /// `outbox::policy`.
        pub mod policy {
            pub use crate::outbox::policy::WritePolicy;
        }
    }
    /// `postgres`.
    pub mod postgres {
        pub use crate::postgres::Config;
        /// `postgres::config`.
        pub mod config {
            pub use crate::postgres::config::Config;
        }
        /// `postgres::connector`.
        pub mod connector {
            pub use crate::postgres::connector::{ConnectError, Connector};
        }
        /// `postgres::pool`.
        pub mod pool {
            pub use crate::postgres::pool::pool;
        }
        /// `postgres::raw_events`.
        pub mod raw_events {
            pub use crate::postgres::raw_events::JOIN;
        }
        /// `postgres::schema`.
        pub mod schema {
            pub use crate::postgres::schema::{
                MigrateError, MigrationReport, SchemaError, check_schema, migrate, warnings,
            };
        }
    }
    /// `registry`.
    pub mod registry {
        pub use crate::registry::{Config, Parts, Registry, replay_key};
    }
    /// `runtime`.
    pub mod runtime {
        pub use crate::runtime::error_chain::error_chain;
        /// `runtime::actor_guard`.
        pub mod actor_guard {
            pub use crate::runtime::actor_guard::{ActorExit, Heartbeat};
        }
        /// `runtime::readiness`.
        pub mod readiness {
            pub use crate::runtime::readiness::{Condition, Readiness};
        }
        /// `runtime::spawn`.
        pub mod spawn {
            pub use crate::runtime::spawn::SpawnContext;
        }
        /// `runtime::secret`.
        pub mod secret {
            pub use crate::runtime::secret::Secret;
        }
    }
    /// `sink`.
    pub mod sink {
        /// `sink::postgres`.
        pub mod postgres {
            pub use crate::sink::postgres::{Downstream, Duty, Parts, Writer};
        }
        /// `sink::routes`.
        pub mod routes {
            pub use crate::sink::routes::{Config, Parts, Publisher};
        }
        /// `sink::state`.
        pub mod state {
            pub use crate::sink::state::{Config, DerivedStateWriter, Parts};
        }
    }
}

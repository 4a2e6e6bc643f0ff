//! The `[validate]` table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::Opening;
use crate::registry::devices::Ages;
use crate::runtime::setting::settings;

settings! {
    /// The `[validate]` table.
    pub(crate) struct Config in "validate" {
        /// Validators, each with a thread; a device always meets the same one.
        ///
        /// Two validate more than one PostgreSQL can store.
        workers: usize = 2, whole(1, 256), "INGEST_WORKER_COUNT";
        /// How long a registry answer is trusted without asking again; changes are notified at once.
        cache_ttl_secs: u64 = 60, whole(1, 86_400), "AUTH_CACHE_TTL_SECONDS";
        /// Devices held in memory, over all validators.
        cache_max_size: usize = 200_000, whole(1, 100_000_000), "AUTH_CACHE_MAX_SIZE";
        /// The same as `cache_ttl_secs` for the modules' key maps: they are held together, and the shorter one
        /// counts.
        metric_map_ttl_secs: u64 = 300, whole(1, 86_400), "METRIC_MAP_CACHE_TTL";
        /// How long an unknown device stays unknown without asking again.
        negative_ttl_secs: u64 = 10, whole(1, 86_400);
        /// While PostgreSQL is away, answers serve up to this age; then deliveries are held.
        max_staleness_secs: u64 = 900, whole(1, 86_400);
        /// An idle device's token bucket is forgotten after this time.
        bucket_ttl_secs: u64 = 3600, whole(1, 604_800), "BUCKET_TTL_SECONDS";
        /// Devices must show their provision token.
        require_token: bool = true, Flag, "REQUIRE_TOKEN";
        /// A certificate's common name, as the broker authenticated it, may take the token's place.
        cert_auth_enabled: bool = false, Flag, "CERT_AUTH_ENABLED";
        /// Whether the subject must name the tenant, and the device if any, of the topic; `off` for producers
        /// that cannot.
        subject_check: SubjectCheck = SubjectCheck::Enforce, Choice(&["enforce", "off"]), "NATS_SUBJECT_CHECK";
    }
}

impl Config {
    /// How long a cached device, with its key map, is trusted without asking again.
    pub(crate) fn entry_ttl(&self) -> Duration {
        Duration::from_secs(self.cache_ttl_secs.min(self.metric_map_ttl_secs))
    }

    /// How long answers of the registry are good for.
    pub(crate) fn ages(&self) -> Ages {
        Ages::new(self.entry_ttl().as_millis() as u64, self.negative_ttl_secs * 1_000, self.max_staleness_secs * 1_000)
    }
}

/// Whether the subject that a message was published to must name the tenant, and the device if any, of its topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SubjectCheck {
    /// It must: a publisher speaks for the tenants alone that the broker's permissions let it publish to.
    #[default]
    Enforce,
    /// Any subject will do: whoever may publish at all speaks for every tenant.
    Off,
}

impl SubjectCheck {
    /// Whether it is made of messages that are opened so: a topic that is read from the subject can't differ from it.
    pub(crate) fn applies_to(self, opening: Opening) -> bool {
        self == Self::Enforce && opening == Opening::Envelope
    }
}

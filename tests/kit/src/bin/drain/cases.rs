//! What is measured: which messages, which routes, with points or without.

use ingest_kit::envelope::{self, outgoing, payload};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device, Route};
use serde_json::json;

use crate::setting;

/// The messages of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Devices that send them, in turn.
    pub devices: usize,
    /// Tenants that own them, in turn.
    pub tenants: usize,
    /// One of so many carries a wrong token; 0 = none.
    pub bad_one_in: u64,
    /// One of so many is hotter than 80 degrees; 0 = none.
    pub hot_one_in: u64,
    /// Each device counts its messages (`seq`) from 1 on; else the messages are counted in all.
    pub counted: bool,
}

/// Which messages the tenants' routes match. Every tenant has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routes {
    /// There are none.
    None,
    /// One matches everything.
    Everything,
    /// One matches what is hot.
    Hot,
}

/// A case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its name in `BENCH_CASES`.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The messages.
    pub load: Load,
    /// The routes.
    pub routes: Routes,
    /// Whether points are written, too.
    pub points: bool,
    /// Settings of the node, by their names in the environment.
    pub env: &'static [(&'static str, &'static str)],
    /// Settings that have no name there, as TOML.
    pub file: &'static str,
    /// Whether somebody watches the console.
    pub watched: bool,
    /// Whether the node speaks TLS to PostgreSQL.
    pub tls: bool,
    /// Whether the yardstick runs beside the node.
    pub yardstick: bool,
    /// Whether the time is taken until every device is cached.
    pub cold: bool,
}

/// Every case, in the order in which they run.
pub(crate) fn all() -> Vec<Case> {
    let good = Load {
        devices: setting("BENCH_DEVICES", 1_000),
        tenants: setting("BENCH_TENANTS", 20),
        bad_one_in: 0,
        hot_one_in: 0,
        counted: false,
    };
    let many = Load { devices: good.devices.max(100_000), ..good };
    let warm = Case {
        name: "rows",
        title: "rows",
        load: good,
        routes: Routes::None,
        points: false,
        env: &[],
        file: "",
        watched: false,
        tls: false,
        yardstick: true,
        cold: false,
    };
    let alone = Case { yardstick: false, ..warm.clone() };
    vec![
        warm.clone(),
        Case { name: "points", title: "rows and points", points: true, ..warm },
        Case { name: "cold", title: "cold cache", load: many, cold: true, ..alone.clone() },
        Case { name: "bad", title: "10 % bad", load: Load { bad_one_in: 10, ..good }, ..alone.clone() },
        Case { name: "routes", title: "all routed", routes: Routes::Everything, ..alone.clone() },
        Case {
            name: "mixed",
            title: "mixed",
            load: Load { bad_one_in: 100, hot_one_in: 100, ..good },
            routes: Routes::Hot,
            points: true,
            ..alone
        },
    ]
}

impl Load {
    /// The device with this number.
    pub(crate) fn device(&self, number: usize) -> Device {
        envelope::device(number, self.tenants)
    }

    /// A message. Bad and hot ones are spread over all devices.
    pub(crate) fn message(&self, seq: u64) -> Outgoing {
        let device = self.device(seq as usize % self.devices);
        let mut payload = payload(&device, seq);
        if self.counted {
            payload["seq"] = json!(seq / self.devices as u64 + 1);
        }
        if self.is_bad(seq) {
            payload["provision_token"] = json!("another");
        }
        if is_one_in(self.hot_one_in, seq, 1) {
            payload["metrics"]["temp_c"] = json!(85.5);
        }
        outgoing(&device, "telemetry", "telemetry", &payload)
    }

    /// Whether a message is bad.
    pub(crate) fn is_bad(&self, seq: u64) -> bool {
        is_one_in(self.bad_one_in, seq, 0)
    }

    /// How many of the first `messages` a route matches: those that are accepted.
    pub(crate) fn matched(&self, routes: Routes, messages: u64) -> u64 {
        let matches = |seq: &u64| match routes {
            Routes::None => false,
            Routes::Everything => !self.is_bad(*seq),
            Routes::Hot => !self.is_bad(*seq) && is_one_in(self.hot_one_in, *seq, 1),
        };
        (0..messages).filter(matches).count() as u64
    }
}

impl Routes {
    /// A tenant's route.
    pub(crate) fn of(self, tenant_id: &str) -> Option<Route> {
        let everything = seed::catch_all_route(tenant_id);
        match self {
            Self::None => None,
            Self::Everything => Some(everything),
            Self::Hot => Some(Route { payload_filter: Some(json!({"temp_c": {"$gt": 80}})), ..everything }),
        }
    }
}

/// One of so many, another one in every thousand: so it is not always the same devices' turn.
fn is_one_in(n: u64, seq: u64, offset: u64) -> bool {
    n > 0 && (seq + seq / 1_000) % n == offset
}

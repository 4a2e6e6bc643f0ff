//! All checks, side by side.

use super::clock::{self, Clocks};
use super::deadline::Deadline;
use super::result::CheckResult;
use super::shared::Later;
use super::{influx, machine, mqtt, nats, postgres};
use crate::config::Loaded;

/// Compares settings, machine and servers with what the node needs; in a fixed order, each dependency's results together.
pub(crate) async fn check(loaded: &Loaded) -> Vec<CheckResult> {
    let config = &loaded.config;
    let (deadline, clocks, tenants) = (Deadline::start(), Clocks::new(), Later::new());
    let (nats, postgres, influx, mqtt, skew, machine) = tokio::join!(
        nats::check(config, deadline, &clocks),
        postgres::check(config, deadline, &clocks, &tenants),
        influx::check(&config.influx, deadline, &tenants),
        mqtt::check(&config.mqtt, deadline),
        clock::check(&clocks),
        machine::check(loaded, deadline),
    );
    [machine, skew, nats, postgres, influx, mqtt].into_iter().flatten().collect()
}

//! Missing readings per tenant: for a bounded number of tenants, and one series for all others.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use ingest_core::message::names::{OTHER_TENANTS_LABEL, metric_label};
use ingest_core::state::continuity::Found;

/// Tenants that are counted by name: the first that there is anything to count of.
const NAMED: usize = 20;

/// What was found of each tenant's devices since the start, and how many of them are silent.
#[derive(Debug, Default)]
pub struct MissingReadings {
    found: Mutex<BTreeMap<String, Counts>>,
    /// Of the replica that looks for silent devices; the largest first.
    silent: Mutex<Option<Vec<(String, i64)>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    found: Found,
    alerts: u64,
}

impl MissingReadings {
    /// Adds what was found of a tenant's devices.
    pub fn add(&self, tenant_id: &str, found: Found) {
        if found.is_any() {
            self.count(tenant_id, |counts| counts.found += found);
        }
    }

    /// Adds alerts that were published.
    pub fn published(&self, tenant_id: &str, alerts: u64) {
        self.count(tenant_id, |counts| counts.alerts += alerts);
    }

    /// Replaces the numbers of silent devices; `None` where another replica looks for them.
    pub fn set_silent(&self, tenants: Option<Vec<(String, i64)>>) {
        *self.silent.lock() = tenants.map(bounded);
    }

    fn count(&self, tenant_id: &str, count: impl FnOnce(&mut Counts)) {
        let mut tenants = self.found.lock();
        let label = metric_label(tenant_id);
        let label = if tenants.contains_key(&*label) || tenants.len() < NAMED { &label } else { OTHER_TENANTS_LABEL };
        count(tenants.entry(label.to_owned()).or_default());
    }
}

/// The largest by name, the others together.
fn bounded(mut tenants: Vec<(String, i64)>) -> Vec<(String, i64)> {
    tenants.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let others: i64 = tenants.iter().skip(NAMED).map(|(_, devices)| devices).sum();
    tenants.truncate(NAMED);
    for (tenant, _) in &mut tenants {
        *tenant = metric_label(tenant).into_owned();
    }
    if others > 0 {
        tenants.push((OTHER_TENANTS_LABEL.to_owned(), others));
    }
    tenants
}

impl Collector for MissingReadings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        type Count = fn(&Counts) -> u64;
        const COUNTERS: [(&str, &str, Count); 5] = [
            ("readings_missing", "Numbers of devices' messages that did not come.", |of| of.found.missing),
            ("readings_late", "Those of them that came after all.", |of| of.found.late),
            ("readings_repeated", "Readings with a number that had come before.", |of| of.found.repeats),
            ("device_seq_resets", "How often devices began to count again.", |of| of.found.resets),
            ("device_alerts", "Alerts published about devices that fell silent or came back.", |of| of.alerts),
        ];
        let tenants = self.found.lock();
        for (name, help, count) in COUNTERS {
            if tenants.is_empty() {
                break;
            }
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (tenant, counts) in &*tenants {
                ConstCounter::new(count(counts)).encode(family.encode_family(&[("tenant", tenant.as_str())])?)?;
            }
        }
        let silent = self.silent.lock();
        let Some(silent) = silent.as_ref().filter(|silent| !silent.is_empty()) else { return Ok(()) };
        let help = "Devices that are silent, by the replica that looks for them.";
        let mut family = encoder.encode_descriptor("devices_silent", help, None, MetricType::Gauge)?;
        for (tenant, devices) in silent {
            ConstGauge::new(*devices).encode(family.encode_family(&[("tenant", tenant.as_str())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_beyond_the_bound_are_counted_together() {
        let readings = MissingReadings::default();
        for number in 0..50 {
            readings.add(&format!("t{number}"), Found { missing: 1, ..Found::default() });
        }
        readings.add("t0", Found { missing: 1, late: 2, ..Found::default() });
        readings.add("quiet", Found::default());
        let tenants = readings.found.lock();
        assert_eq!((tenants.len(), tenants["t0"].found.missing, tenants["t0"].found.late), (NAMED + 1, 2, 2));
        assert_eq!(tenants.values().map(|counts| counts.found.missing).sum::<u64>(), 51);
    }

    #[test]
    fn the_tenants_with_the_most_silent_devices_are_named() {
        readings_of((0..30).map(|number| (format!("t{number}"), number)).collect(), |silent| {
            assert_eq!((silent.len(), &silent[0]), (NAMED + 1, &("t29".to_owned(), 29)));
            assert_eq!(silent[NAMED], (OTHER_TENANTS_LABEL.to_owned(), (0..10).sum()));
        });
        readings_of(vec![("a b".to_owned(), 2)], |silent| assert_eq!(silent[0].0, "a%20b"));
    }

    fn readings_of(tenants: Vec<(String, i64)>, check: impl FnOnce(&[(String, i64)])) {
        let readings = MissingReadings::default();
        readings.set_silent(Some(tenants));
        check(readings.silent.lock().as_deref().unwrap_or_default());
    }
}

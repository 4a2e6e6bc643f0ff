//! Missing readings per tenant: for a bounded number of tenants, and one series for all others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::noted_devices::{DeviceGap, DeviceGaps, SilentDevice};
use ingest_core::message::device::DeviceKey;
use ingest_core::message::names::{OTHER_TENANTS_LABEL, metric_label};
use ingest_core::state::continuity::Found;

/// Tenants that are counted by name: the first that there is anything to count of.
const NAMED: usize = 20;

/// What was found of each tenant's devices since the start, and how many of them are silent.
#[derive(Debug, Default)]
pub struct MissingReadings {
    found: Mutex<BTreeMap<String, Counts>>,
    gaps: Mutex<DeviceGaps>,
    /// Of the replica that looks for silent devices.
    silent: Mutex<Option<Silent>>,
    /// Of the same.
    unpublished: Mutex<Option<usize>>,
}

/// What was counted of one tenant since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// What the numbers of its devices have shown.
    pub found: Found,
    /// Alerts published.
    pub alerts: u64,
}

/// The silent devices.
#[derive(Clone, Debug, Default)]
pub struct Silent {
    /// How many each tenant has; the largest first.
    pub tenants: Vec<(String, i64)>,
    /// Those that fell silent last, the latest first.
    pub devices: Vec<SilentDevice>,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub struct MissingFigures {
    /// Per tenant, by the label of the metrics.
    pub tenants: Vec<(String, Counts)>,
    /// Devices of which numbers went missing within the last hour, those with most first.
    pub gaps: Vec<DeviceGap>,
    /// The silent devices; `None` where another replica looks for them, or nobody can.
    pub silent: Option<Silent>,
}

impl MissingReadings {
    /// Adds what was found of a device of which so many numbers are missing now.
    pub fn add(&self, device: &DeviceKey, found: Found, missing: u64) {
        if found.is_any() {
            self.count(&device.tenant_id, |counts| counts.found += found);
            self.gaps.lock().note(device, found, missing, Instant::now());
        }
    }

    /// Adds alerts that were published.
    pub fn published(&self, tenant_id: &str, alerts: u64) {
        self.count(tenant_id, |counts| counts.alerts += alerts);
    }

    /// Replaces the silent devices; `None` where another replica looks for them.
    pub fn set_silent(&self, silent: Option<Silent>) {
        *self.silent.lock() = silent.map(|silent| Silent { tenants: bounded(silent.tenants), ..silent });
    }

    /// Replaces the number of alerts that are to be published; `None` where another replica publishes them.
    pub fn set_unpublished(&self, alerts: Option<usize>) {
        *self.unpublished.lock() = alerts;
    }

    /// All of it, for what shows it: in bounded memory, and nothing for which a message would wait.
    pub fn read(&self, now: Instant) -> MissingFigures {
        MissingFigures {
            tenants: self.found.lock().iter().map(|(tenant, counts)| (tenant.clone(), *counts)).collect(),
            gaps: self.gaps.lock().read(now),
            silent: self.silent.lock().clone(),
        }
    }

    /// Alerts published since the start, of all tenants.
    pub fn alerts(&self) -> u64 {
        self.found.lock().values().map(|counts| counts.alerts).sum()
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
        if let Some(alerts) = *self.unpublished.lock() {
            let help = "Devices whose alert is not published yet, by the replica that publishes them.";
            let unpublished = encoder.encode_descriptor("device_alerts_unpublished", help, None, MetricType::Gauge)?;
            ConstGauge::new(alerts as i64).encode(unpublished)?;
        }
        let silent = self.silent.lock();
        let tenants = silent.as_ref().map(|silent| &silent.tenants).filter(|tenants| !tenants.is_empty());
        let Some(tenants) = tenants else { return Ok(()) };
        let help = "Devices that are silent, by the replica that looks for them.";
        let mut family = encoder.encode_descriptor("devices_silent", help, None, MetricType::Gauge)?;
        for (tenant, devices) in tenants {
            ConstGauge::new(*devices).encode(family.encode_family(&[("tenant", tenant.as_str())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MOST_DEVICES;

    #[test]
    fn tenants_beyond_the_bound_are_counted_together() {
        let readings = MissingReadings::default();
        for number in 0..50 {
            readings.add(&device(&format!("t{number}")), Found { missing: 1, ..Found::default() }, 1);
        }
        readings.add(&device("t0"), Found { missing: 1, late: 2, ..Found::default() }, 2);
        readings.add(&device("quiet"), Found::default(), 3);
        readings.published("t49", 4);
        let tenants = readings.found.lock();
        assert_eq!((tenants.len(), tenants["t0"].found.missing, tenants["t0"].found.late), (NAMED + 1, 2, 2));
        assert_eq!(tenants.values().map(|counts| counts.found.missing).sum::<u64>(), 51);
        drop(tenants);
        let read = readings.read(Instant::now());
        assert_eq!((read.tenants.len(), read.gaps.len(), read.gaps[0].missing), (NAMED + 1, MOST_DEVICES, 2));
        assert_eq!((read.gaps[0].key.clone(), read.silent.is_none(), readings.alerts()), (device("t0"), true, 4));
    }

    fn device(tenant: &str) -> DeviceKey {
        DeviceKey::new(tenant, "dev-1")
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
        readings.set_silent(Some(Silent { tenants, devices: Vec::new() }));
        check(&readings.read(Instant::now()).silent.unwrap().tenants);
    }
}

//! Missing readings in a snapshot: per tenant, and some of the devices that they are about.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::actors::rfc3339;
use super::rates::rounded;
use super::snapshot::{DeviceMissing, DeviceSilent, MissingState, TenantMissing};
use crate::metrics::{Metrics, MissingFigures, SilentDevice};
use ingest_core::message::names::OTHER_TENANTS_LABEL;

/// Tenants that are shown by name.
const NAMED: usize = 20;

/// What is missing now.
pub(super) fn missing_readings(metrics: &Metrics, now: Instant) -> MissingState {
    let figures = metrics.state.readings.read(now);
    let devices = figures.gaps.iter().map(|gap| DeviceMissing {
        tenant: gap.key.tenant_id.to_string(),
        device: gap.key.device_id.to_string(),
        missing: gap.missing,
        found_seconds_ago: rounded(now.saturating_duration_since(gap.found).as_secs_f64()),
    });
    MissingState {
        tenants: tenants(&figures),
        devices: devices.collect(),
        silent_devices: figures.silent.as_ref().map(|silent| silent.devices.iter().map(silent_device).collect()),
    }
}

/// Those of which most is missing by name, the others together.
fn tenants(figures: &MissingFigures) -> Vec<TenantMissing> {
    let silent = figures.silent.as_ref().map(|silent| silent.tenants.iter().cloned().collect::<BTreeMap<_, _>>());
    // What a tenant has that is not named is known only where all are.
    let unnamed = silent.as_ref().filter(|of| !of.contains_key(OTHER_TENANTS_LABEL)).map(|_| 0);
    let mut all: BTreeMap<&str, TenantMissing> = BTreeMap::new();
    let labels = figures.tenants.iter().map(|(tenant, _)| tenant).chain(silent.iter().flat_map(BTreeMap::keys));
    for label in labels {
        let devices = silent.as_ref().and_then(|silent| silent.get(label).copied()).or(unnamed);
        all.insert(label, TenantMissing { tenant: label.clone(), silent: devices, ..TenantMissing::default() });
    }
    for (label, counts) in &figures.tenants {
        if let Some(tenant) = all.get_mut(label.as_str()) {
            // What came late was missing before; a replica may count one that another counted as missing.
            tenant.missing = counts.found.missing.saturating_sub(counts.found.late);
            (tenant.late, tenant.repeats) = (counts.found.late, counts.found.repeats);
            (tenant.resets, tenant.alerts) = (counts.found.resets, counts.alerts);
        }
    }
    let mut others = all.remove(OTHER_TENANTS_LABEL);
    let mut shown: Vec<TenantMissing> = all.into_values().collect();
    shown.sort_by_key(|tenant| Reverse((tenant.missing, tenant.silent)));
    for tenant in shown.split_off(shown.len().min(NAMED)) {
        let sum = others.get_or_insert_with(|| TenantMissing {
            tenant: OTHER_TENANTS_LABEL.to_owned(),
            silent: Some(0),
            ..TenantMissing::default()
        });
        sum.missing += tenant.missing;
        sum.late += tenant.late;
        sum.repeats += tenant.repeats;
        sum.resets += tenant.resets;
        sum.alerts += tenant.alerts;
        // A tenant whose number is not known is among the others' already.
        sum.silent =
            figures.silent.as_ref().map(|_| sum.silent.unwrap_or_default() + tenant.silent.unwrap_or_default());
    }
    shown.extend(others);
    shown
}

fn silent_device(of: &SilentDevice) -> DeviceSilent {
    let time = |us: i64| u64::try_from(us).ok().and_then(|us| rfc3339(UNIX_EPOCH + Duration::from_micros(us)));
    DeviceSilent {
        tenant: of.key.tenant_id.to_string(),
        device: of.key.device_id.to_string(),
        silent_since: time(of.silent_since_us).unwrap_or_default(),
        last_seen_at: of.last_seen_us.and_then(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Silent;
    use ingest_core::message::device::DeviceKey;
    use ingest_core::state::continuity::Found;

    #[test]
    fn what_came_late_is_missing_no_more_and_silence_is_unknown_where_nobody_looks() {
        let (metrics, now) = (Metrics::new(), Instant::now());
        let (readings, device) = (&metrics.state.readings, DeviceKey::new("acme", "dev-1"));
        assert_eq!(missing_readings(&metrics, now), MissingState::default());
        readings.add(&device, Found { missing: 5, late: 2, repeats: 1, resets: 1 }, 3);
        readings.add(&DeviceKey::new("late", "dev-1"), Found { late: 2, ..Found::default() }, 0);
        readings.published("acme", 2);
        let shown = missing_readings(&metrics, now);
        let acme = TenantMissing {
            tenant: "acme".to_owned(),
            missing: 3,
            late: 2,
            repeats: 1,
            resets: 1,
            silent: None,
            alerts: 2,
        };
        assert_eq!((&shown.tenants[0], shown.tenants[1].missing, shown.silent_devices), (&acme, 0, None));
        assert_eq!((&*shown.devices[0].device, shown.devices[0].missing, shown.devices.len()), ("dev-1", 3, 1));

        let silent = SilentDevice { key: device, silent_since_us: 1_500_000, last_seen_us: None };
        readings.set_silent(Some(Silent { tenants: vec![("quiet".to_owned(), 4)], devices: vec![silent] }));
        let shown = missing_readings(&metrics, now);
        let figures: Vec<_> = shown.tenants.iter().map(|of| (of.tenant.as_str(), of.missing, of.silent)).collect();
        assert_eq!(figures, [("acme", 3, Some(0)), ("quiet", 0, Some(4)), ("late", 0, Some(0))]);
        let device = &shown.silent_devices.unwrap()[0];
        assert_eq!((&*device.silent_since, &device.last_seen_at), ("1970-01-01T00:00:01.5Z", &None));
    }

    #[test]
    fn tenants_beyond_the_bound_are_shown_together() {
        let (metrics, now) = (Metrics::new(), Instant::now());
        let readings = &metrics.state.readings;
        for number in 0..30 {
            let device = DeviceKey::new(&format!("t{number}"), "dev-1");
            readings.add(&device, Found { missing: 1, ..Found::default() }, 1);
        }
        let tenants = (20..60).map(|number| (format!("t{number}"), 1)).collect();
        readings.set_silent(Some(Silent { tenants, devices: Vec::new() }));
        let shown = missing_readings(&metrics, now);
        let others = shown.tenants.last().unwrap();
        assert_eq!((shown.tenants.len(), others.tenant.as_str(), others.missing), (NAMED + 1, OTHER_TENANTS_LABEL, 10));
        assert_eq!(shown.tenants.iter().filter_map(|of| of.silent).sum::<i64>(), 40);
        assert_eq!(shown.devices.len(), 10);
    }
}

//! Which alerts are published now.

use std::collections::BTreeMap;

use super::message::{Alert, Kind, Pending};
use super::quota::Quota;

/// The alerts to publish now, each with the devices that it speaks for, as places in `pending`. What exceeds a tenant's quota
/// is one alert; what comes after that within the minute waits for the next one.
pub fn select(pending: &[Pending], quota: &mut Quota) -> Vec<(Alert, Vec<usize>)> {
    let mut groups: BTreeMap<(&str, Kind), Vec<usize>> = BTreeMap::new();
    for (place, one) in pending.iter().enumerate() {
        groups.entry((&one.tenant_id, Kind::of(one))).or_default().push(place);
    }
    let mut alerts = Vec::new();
    for ((tenant_id, kind), places) in groups {
        let (single, others) = places.split_at(quota.take(tenant_id, places.len()));
        alerts.extend(single.iter().map(|place| (Alert::of_one(&pending[*place]), vec![*place])));
        if !others.is_empty() && quota.take_of_many(tenant_id, kind) {
            let devices: Vec<&Pending> = others.iter().map(|place| &pending[*place]).collect();
            alerts.push((Alert::of_many(kind, tenant_id, &devices, quota.minute()), others.to_vec()));
        }
    }
    alerts
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const T0: i64 = 1_795_219_200_000_000;

    fn pending(tenant_id: &str, device_id: &str, returned_us: Option<i64>) -> Pending {
        Pending {
            tenant_id: tenant_id.to_owned(),
            device_id: device_id.to_owned(),
            site_id: Some("lab-1".to_owned()),
            last_received_us: returned_us.unwrap_or(T0),
            usual_interval_ms: Some(10_000),
            silent_since_us: T0 + 60_000_000,
            returned_us,
        }
    }

    fn body(alert: &Alert) -> Value {
        serde_json::from_str(&alert.body).unwrap()
    }

    #[test]
    fn an_alert_says_which_device_and_since_when() {
        let returned_us = T0 + 90_500_000;
        let devices = [pending("a.b", "d 1", None), pending("a.b", "d 2", Some(returned_us))];
        let alerts = select(&devices, &mut Quota::new(10));
        let [(silent, one), (returned, other)] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!((&one[..], &other[..]), (&[0][..], &[1][..]));
        assert_eq!(silent.subject, "alerts.a%2Eb");
        assert_eq!(silent.message_id, format!("device_silent:a%2Eb:d%201:{}", T0 + 60_000_000));
        assert_eq!(
            body(silent),
            json!({"type": "device_silent", "tenant_id": "a.b", "device_id": "d 1", "site_id": "lab-1",
                "last_received_at": "2026-11-21T00:00:00Z", "usual_interval_ms": 10_000,
                "silent_since": "2026-11-21T00:01:00Z"})
        );
        assert_eq!(returned.message_id, format!("device_returned:a%2Eb:d%202:{returned_us}"));
        assert_eq!(body(returned)["returned_at"], "2026-11-21T00:01:30.5Z");
    }

    #[test]
    fn a_flood_of_one_tenant_is_a_few_alerts_and_one_for_the_others_each_minute() {
        let mut devices: Vec<Pending> = (0..1_000).map(|number| pending("loud", &format!("d{number}"), None)).collect();
        devices.push(pending("calm", "d1", None));
        let mut quota = Quota::new(30);
        quota.begin(7);
        let alerts = select(&devices, &mut quota);
        assert_eq!(alerts.len(), 32);
        let (many, of) = alerts.last().unwrap();
        assert_eq!((of.len(), many.message_id.as_str()), (970, "devices_silent:loud:7"));
        assert_eq!((&body(many)["devices"], body(many)["examples"].as_array().unwrap().len()), (&json!(970), 10));
        // What comes now waits, and another kind has an alert of its own.
        let more = [pending("loud", "x", None), pending("loud", "y", Some(T0))];
        let alerts = select(&more, &mut quota);
        assert_eq!(alerts.iter().map(|(alert, _)| &*alert.message_id).collect::<Vec<_>>(), ["devices_returned:loud:7"]);
        quota.begin(8);
        assert_eq!(select(&more, &mut quota).len(), 2);
    }
}

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::generator::*;
use ingest_core::influx::point::Layout;
use ingest_core::message::device::{Device, DeviceKey, Lookup, Subscription, TokenHash};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::validate;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{Context, Policy, ValidationCounts};

const FLEET: Fleet = Fleet { devices: 7, tenants: 3 };
const MIX: Mix = Mix { bad_share: 0.2, heartbeat_share: 0.33, seed: 1, start_us: 1_795_219_200_000_000, spacing_us: 1 };

fn registry() -> HashMap<(String, String), Lookup> {
    let registered = FLEET.registered().map(|device| {
        let hash: [u8; 32] = Sha256::digest(device.token()).into();
        let found = Device {
            key: DeviceKey::new(&device.tenant_id, &device.device_id),
            site_id: device.site_id.clone(),
            active: device.status == "ACTIVE",
            subscription: Subscription::from_status(Some(device.subscription)),
            token_hash: device.has_token.then_some(TokenHash(hash)),
            certificates: Vec::new(),
            metric_keys: MetricKeyMap::from_maps([].into_iter()),
            location_is_auto: true,
            sensor_limit: 20,
        };
        ((device.tenant_id, device.device_id), Lookup::Found(Arc::new(found)))
    });
    registered.collect()
}

#[test]
fn every_message_ends_as_it_says() {
    let (registry, settings) = (registry(), Settings::default());
    let policy = Policy { require_token: true, cert_auth_enabled: false, points: Some(Layout::PerTenant) };
    let mut reasons = HashSet::new();
    for message in Generator::new(FLEET, MIX).take(2_000) {
        let context =
            Context { settings: &settings, policy, subject: Some(&message.subject), received_us: 0, trusted: false };
        let mut counts = ValidationCounts::default();
        let validated = Envelope::open(&Bytes::from(message.body.clone())).and_then(|envelope| {
            let lookup = |key: ingest_core::message::device::DeviceRef<'_>| {
                let answer = registry.get(&(key.tenant_id.to_owned(), key.device_id.to_owned()));
                Some(answer.unwrap_or(&Lookup::Unknown))
            };
            validate::telemetry(&envelope, context, lookup, |_| true, &mut counts)
        });
        match validated {
            Ok(event) => {
                let event = event.unwrap();
                assert_eq!(message.expected, None, "{}", message.body);
                let key = &event.device.key;
                assert_eq!(message.subject, format!("telemetry.{}.{}", key.tenant_id, key.device_id));
                assert_eq!((counts.timestamp_fallbacks, event.line.is_some()), (0, true), "{}", message.body);
            }
            Err(rejection) => {
                assert_eq!(message.expected, Some(rejection.reason), "{rejection:?} {}", message.body);
                reasons.insert(rejection.reason);
            }
        }
    }
    assert_eq!(reasons, Bad::ALL.map(Bad::reason).into_iter().collect());
}

#[test]
fn the_same_seed_makes_the_same_messages() {
    let messages = |seed| Generator::new(FLEET, Mix { seed, ..MIX }).take(200).collect::<Vec<_>>();
    assert_eq!(messages(7), messages(7));
    assert_ne!(messages(7), messages(8));
}

#[test]
fn the_shares_are_those_that_were_asked_for() {
    let messages: Vec<_> = Generator::new(FLEET, MIX).take(10_000).collect();
    let good: Vec<_> = messages.iter().filter(|message| message.expected.is_none()).collect();
    let heartbeats = good.iter().filter(|message| message.body.contains("/heartbeat\"")).count();
    assert!((0.18..0.22).contains(&(1.0 - good.len() as f64 / 10_000.0)));
    assert!((0.31..0.35).contains(&(heartbeats as f64 / good.len() as f64)));
    assert!(Generator::new(FLEET, Mix { bad_share: 0.0, ..MIX }).take(1_000).all(|message| message.expected.is_none()));
}

#[test]
fn no_two_messages_have_the_same_time() {
    let times: HashSet<_> = Generator::new(FLEET, Mix { bad_share: 0.0, ..MIX })
        .take(1_000)
        .map(|message| message.body.split(r#""version":"1","ts":""#).nth(1).unwrap()[..32].to_owned())
        .collect();
    assert_eq!(times.len(), 1_000);
    assert!(times.contains("2026-11-21T00:00:00.000000+00:00"));
}

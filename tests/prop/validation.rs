//! Validation is total: every message gets a verdict, and no refusal keeps a token.

use std::sync::Arc;

use bytes::Bytes;
use ingest_node::core::device::{Device, DeviceKey, Lookup, Subscription};
use ingest_node::core::envelope::Envelope;
use ingest_node::core::event::Content;
use ingest_node::core::metric_keys::MetricKeyMap;
use ingest_node::core::point::Layout;
use ingest_node::core::refusal;
use ingest_node::core::settings::Settings;
use ingest_node::core::validate::{self, Context, Policy, Tally};
use proptest::prelude::*;
use serde_json::{Value, json};

const TOKEN: &str = "tok-3f9a-secret";

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("2026-11-21T00:00:00Z")),
        Just(json!("lab-1")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{0,8}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn payload() -> impl Strategy<Value = Value> {
    let names = vec!["ts", "tenant_id", "site_id", "seq", "version", "metrics", "lat", "lng", "note"];
    let members = proptest::collection::vec((proptest::sample::select(names), value()), 0..9);
    members.prop_map(|members| {
        let mut object: serde_json::Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        object.insert("provision_token".to_owned(), TOKEN.into());
        Value::Object(object)
    })
}

/// The row of a message, or what the quarantine keeps of it.
fn judge(body: &Bytes) -> Result<String, Content> {
    let envelope = Envelope::open(body).map_err(|rejection| refusal::of_bytes(body, rejection, 8192).content)?;
    let lookup = Lookup::Found(Arc::new(Device {
        key: DeviceKey::new("acme", "d1"),
        site_id: "lab-1".to_owned(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificate_until_us: None,
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit: 20,
    }));
    let settings = Settings::default();
    let policy = Policy { require_token: false, cert_auth_enabled: true, points: Some(Layout::PerTenant) };
    let context = Context { settings: &settings, policy, subject: None, received_us: 0, trusted: false };
    let mut tally = Tally::default();
    match validate::telemetry(&envelope, context, |_| Some(&lookup), |_| true, &mut tally) {
        Ok(Some(event)) => Ok(event.payload.to_string()),
        Ok(None) => unreachable!("the device is known"),
        Err(rejection) => Err(refusal::of_envelope(&envelope, rejection, 8192).content),
    }
}

proptest! {
    #[test]
    fn any_bytes_get_a_verdict(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(judge(&Bytes::from(body)).is_err(), "random bytes are no message");
    }

    #[test]
    fn any_payload_gets_a_verdict_and_keeps_no_token(payload in payload(), cut in 0_usize..400, is_text in any::<bool>()) {
        let payload = if is_text { Value::from(payload.to_string()) } else { payload };
        let text = json!({"topic": "tenant/acme/device/d1/telemetry", "payload": payload}).to_string();
        let cut = text.floor_char_boundary(text.len().saturating_sub(cut.saturating_sub(200)));
        let stored = match judge(&Bytes::copy_from_slice(&text.as_bytes()[..cut])) {
            Ok(row) => row,
            Err(Content::Json(json)) => json,
            Err(Content::Raw(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        prop_assert!(!stored.contains(TOKEN), "{}", stored);
    }
}

//! Validation is total: every message is accepted or rejected, and no quarantine record holds a token.

use std::io::Read;
use std::sync::Arc;

use base64::prelude::*;
use bytes::Bytes;
use flate2::Compression;
use ingest_core::influx::point::Layout;
use ingest_core::message::device::{Device, DeviceKey, DeviceRef, Lookup, Subscription};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::message::quarantine_content::Content;
use ingest_core::validate::event::QuarantineRecord;
use ingest_core::validate::quarantine_record;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{self, Context, Policy, ValidationCounts};
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

/// One registered device without a token of its own.
fn lookup() -> Lookup {
    Lookup::Found(Arc::new(Device {
        key: DeviceKey::new("acme", "d1"),
        site_id: "lab-1".to_owned(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: None,
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit: 20,
    }))
}

/// The checks that a lane runs.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Telemetry,
    Shadow,
    Commands,
}

/// The row of a message, or the quarantine record of a message that its lane rejects.
fn validate_on(lane: Lane, body: &Bytes) -> Result<String, Box<QuarantineRecord>> {
    let settings = Settings { max_payload_bytes: 300, ..Settings::default() };
    let limit = settings.max_payload_bytes;
    let envelope =
        Envelope::open(body).map_err(|rejection| Box::new(quarantine_record::of_bytes(body, rejection, limit)))?;
    let lookup = lookup();
    let policy = Policy { require_token: false, cert_auth_enabled: true, points: Some(Layout::PerTenant) };
    let subject = Some("telemetry.acme.d1");
    let context = Context { settings: &settings, policy, subject, received_us: 0, trusted: false };
    let mut counts = ValidationCounts::default();
    let known = |_: DeviceRef<'_>| Some(&lookup);
    let validated = match lane {
        Lane::Telemetry => validate::telemetry(&envelope, context, known, |_| true, &mut counts)
            .map(|event| event.map(|event| event.payload.to_string())),
        Lane::Shadow => {
            validate::shadow(&envelope, context, known, |_| true).map(|report| report.map(|report| report.reported))
        }
        Lane::Commands => {
            validate::command(&envelope, context, known, |_| true).map(|ack| ack.map(|ack| ack.ack_details))
        }
    };
    match validated {
        Ok(Some(row)) => Ok(row),
        Ok(None) => unreachable!("the device is known"),
        Err(rejection) => Err(Box::new(quarantine_record::of_envelope(&envelope, rejection, limit))),
    }
}

fn accepted(body: &Bytes) -> Result<String, Content> {
    validate_on(Lane::Telemetry, body).map_err(|record| record.content)
}

fn lane() -> impl Strategy<Value = Lane> {
    proptest::sample::select(vec![Lane::Telemetry, Lane::Shadow, Lane::Commands])
}

/// Bytes that resemble a message more or less: noise, pieces of JSON, envelopes of any size with any topic.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let pieces = "(\\{|\\}|\\[|\\]|\"|:|,|\\\\u00|1e9|topic|payload|provision_token|tok|%7|\\PC){0,400}";
    let topics =
        "tenant/(acme|\\PC{0,300})/device/(d1|\\PC{0,300})/(telemetry|shadow/reported|commands/ack|\\PC{0,200})";
    let envelopes = (topics, payload(), 0_usize..20_000).prop_map(|(topic, mut payload, padding)| {
        payload["pad"] = "x".repeat(padding).into();
        json!({ "topic": topic, "payload": payload }).to_string().into_bytes()
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..4_000), pieces.prop_map(String::into_bytes), envelopes,]
}

/// Ways to write bytes as text that hides them.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Base64,
    Base64Url,
    Gzip,
    Zlib,
    Deflate,
    Hex,
    Wide,
}

impl Encoding {
    const ALL: [Self; 7] =
        [Self::Base64, Self::Base64Url, Self::Gzip, Self::Zlib, Self::Deflate, Self::Hex, Self::Wide];

    fn apply(self, bytes: &[u8]) -> Vec<u8> {
        let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes).into_bytes();
        let mut out = Vec::new();
        match self {
            Self::Base64 => base64(bytes),
            Self::Base64Url => BASE64_URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
            Self::Hex => bytes.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect(),
            Self::Wide => base64(&bytes.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>()),
            Self::Gzip => {
                flate2::read::GzEncoder::new(bytes, Compression::best()).read_to_end(&mut out).unwrap();
                base64(&out)
            }
            Self::Zlib => {
                flate2::read::ZlibEncoder::new(bytes, Compression::fast()).read_to_end(&mut out).unwrap();
                base64(&out)
            }
            Self::Deflate => {
                flate2::read::DeflateEncoder::new(bytes, Compression::default()).read_to_end(&mut out).unwrap();
                base64(&out)
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_rejected(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(accepted(&Bytes::from(body)).is_err(), "random bytes are no message");
    }

    #[test]
    fn any_body_is_validated_and_its_record_is_bounded(lane in lane(), body in bodies()) {
        let body = Bytes::from(body);
        if let Err(record) = validate_on(lane, &body) {
            let kept = match &record.content {
                Content::Json(json) => json.as_bytes(),
                Content::Raw(bytes) => bytes,
            };
            prop_assert!(kept.len() <= 8_192, "{} bytes of {}", kept.len(), body.len());
            prop_assert!(!String::from_utf8_lossy(kept).contains(TOKEN));
            prop_assert!(record.topic.len() <= 2_051 && record.rejection.detail.len() <= 300);
            let names = [&record.tenant_id, &record.device_id, &record.site_id];
            prop_assert!(names.into_iter().flatten().all(|name| name.chars().count() <= 255));
            prop_assert!(record.msg_type.as_ref().is_none_or(|name| name.len() <= 2_048));
        }
    }

    #[test]
    fn no_encoding_hides_a_token(
        encodings in proptest::collection::vec(proptest::sample::select(Encoding::ALL.to_vec()), 1..4),
        note in "[a-z ]{0,40}",
        place in 0_u8..4,
    ) {
        let inside = json!({ "note": note, "provision_token": TOKEN, "metrics": { "temp_c": 21.5 } }).to_string();
        let hidden = encodings.iter().fold(inside.into_bytes(), |bytes, encoding| encoding.apply(&bytes));
        let text = String::from_utf8(hidden).unwrap();
        let topic = "tenant/acme/device/d1/telemetry";
        let body = match place {
            0 => text.clone(),
            1 => json!({ "topic": topic, "payload": text }).to_string(),
            2 => json!({ "topic": topic, "payload": { "data": [{ "inner": text }] } }).to_string(),
            _ => format!("{{\"topic\":\"{topic}\",\"payload\":{{\"data\":\"{text}\",NaN}}}}"),
        };
        let kept = match accepted(&Bytes::from(body)) {
            Ok(row) => panic!("accepted: {row}"),
            Err(Content::Json(json)) => json,
            Err(Content::Raw(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        // Neither as a whole nor the half that the token is in.
        let (first, second) = text.split_at(text.len() / 2);
        prop_assert!(!kept.contains(first) && !kept.contains(second), "{}", kept);
    }

    #[test]
    fn any_payload_is_validated_and_no_token_is_stored(payload in payload(), cut in 0_usize..400, is_text in any::<bool>()) {
        let payload = if is_text { Value::from(payload.to_string()) } else { payload };
        let text = json!({"topic": "tenant/acme/device/d1/telemetry", "payload": payload}).to_string();
        let cut = text.floor_char_boundary(text.len().saturating_sub(cut.saturating_sub(200)));
        let stored = match accepted(&Bytes::copy_from_slice(&text.as_bytes()[..cut])) {
            Ok(row) => row,
            Err(Content::Json(json)) => json,
            Err(Content::Raw(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        prop_assert!(!stored.contains(TOKEN), "{}", stored);
    }
}

//! Cost of validating one message, without I/O: opening the envelope, the checks, the row and the line.
//!
//! `cargo bench -p ingest-core --bench validate`. Prints nanoseconds per message, the least of
//! several rounds.
#![allow(clippy::print_stdout)]
#![allow(clippy::expect_used, reason = "a benchmark without its input has nothing to measure")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ingest_core::influx::point::Layout;
use ingest_core::message::device::{Device, DeviceKey, Lookup, Subscription, TokenHash};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::metric_keys::MetricKeyMap;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{self, Context, Policy, ValidationCounts};
use sha2::{Digest, Sha256};

const MESSAGES: u32 = 200_000;
const ROUNDS: u32 = 7;

fn main() {
    let body = Bytes::from_static(
        br#"{"topic":"tenant/acme/device/dev-0001/telemetry","tenant_id":"acme","device_id":"dev-0001","msg_type":"telemetry","username":"","ts":1795219200000,"payload":{"version":"1","ts":"2026-11-21T00:00:00.123Z","tenant_id":"acme","site_id":"lab-1","device_id":"dev-0001","msg_type":"telemetry","seq":120,"provision_token":"tok-dev-0001","metrics":{"battery_pct":87.5,"temp_c":24.3,"rssi_dbm":-85,"snr_db":12.4,"uplink_ok":true}}}"#,
    );
    let lookup = Lookup::Found(Arc::new(Device {
        key: DeviceKey::new("acme", "dev-0001"),
        site_id: "lab-1".to_owned(),
        active: true,
        subscription: Subscription::Passes,
        token_hash: Some(TokenHash(Sha256::digest(b"tok-dev-0001").into())),
        certificates: Vec::new(),
        metric_keys: MetricKeyMap::default(),
        location_is_auto: true,
        sensor_limit: 20,
    }));
    let settings = Settings::default();
    for points in [None, Some(Layout::PerTenant)] {
        let policy = Policy { require_token: true, cert_auth_enabled: false, points };
        let context = Context {
            settings: &settings,
            policy,
            subject: Some("telemetry.acme"),
            received_us: 1_795_219_200_000_000,
            trusted: false,
        };
        let open = least(|| {
            black_box(Envelope::open(black_box(&body)).expect("a good envelope"));
        });
        let envelope = Envelope::open(&body).expect("a good envelope");
        let mut counts = ValidationCounts::default();
        let validate = least(|| {
            let event = validate::telemetry(black_box(&envelope), context, |_| Some(&lookup), |_| true, &mut counts);
            black_box(event.expect("a good message"));
        });
        println!("points {points:?}: open {open:.0} ns, validate {validate:.0} ns per message");
    }
}

fn least(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..MESSAGES).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES)
        })
        .fold(f64::INFINITY, f64::min)
}

//! What the quarantine keeps of content that is large, compressed or encoded: no token, and little.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use base64::prelude::*;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed;
use serde_json::{Value, json};

use crate::world::{DEADLINE, LANES, World, drain};

const TOKEN: &str = "tok-secret-0";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn on_telemetry(body: impl Into<Vec<u8>>) -> Outgoing {
    Outgoing::new("telemetry.tenant-0", body.into())
}

fn with_payload(payload: &Value) -> Outgoing {
    outgoing(&device(0, 1), "telemetry", "telemetry", payload)
}

/// Messages in which the token is, but not to be read.
fn hidden() -> Vec<Outgoing> {
    let whole = telemetry(&device(0, 1), 1).payload.to_vec();
    let inner = payload(&device(0, 1), 1).to_string();
    let wide: Vec<u8> = inner.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let standard = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let percent: String = inner.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut messages: Vec<Outgoing> =
        [gzip(&whole), zlib(&whole), standard(&whole).into(), standard(&gzip(&whole)).into(), wide]
            .map(on_telemetry)
            .into();
    for text in [
        standard(inner.as_bytes()),
        BASE64_URL_SAFE_NO_PAD.encode(&inner),
        standard(&gzip(inner.as_bytes())),
        standard(standard(&zlib(inner.as_bytes())).as_bytes()),
        percent,
    ] {
        messages.push(with_payload(&json!(text)));
        messages.push(with_payload(&json!({ "data": [text], "site_id": "site-1" })));
    }
    messages
}

/// Everything that could be in there: as it is, and decoded as often as it goes.
fn holds_token(bytes: &[u8]) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
    let without_zeros: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let from_percent: Vec<u8> = bytes
        .split(|byte| *byte == b'%')
        .filter_map(|rest| u8::from_str_radix(std::str::from_utf8(rest.get(..2)?).ok()?, 16).ok())
        .collect();
    let mut opened = Vec::new();
    for from in 0..bytes.len().min(64) {
        let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[from..]), &mut opened);
        let _ = std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&bytes[from..]), &mut opened);
    }
    let words = bytes.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)));
    let decoded = words.filter(|word| word.len() > 20).flat_map(|word| {
        let urlish: Vec<u8> = word
            .iter()
            .map(|b| match b {
                b'+' => b'-',
                b'/' => b'_',
                b => *b,
            })
            .collect();
        (0..4).filter_map(move |cut| BASE64_URL_SAFE_NO_PAD.decode(&urlish[..urlish.len() - cut]).ok())
    });
    holds(bytes)
        || holds(&from_percent)
        || holds(&without_zeros)
        || holds(&opened)
        || decoded.into_iter().any(|inner| holds_token(&inner))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_encoding_hides_a_token_in_the_quarantine() {
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    let node = world.start_node().await;
    let messages = hidden();
    let sent = messages.len();
    assert!(messages.iter().any(|message| holds_token(&message.payload)), "the test would see it");
    world.publish(messages).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let rows = world.database.query("SELECT raw, payload::text, detail FROM quarantine_events", &[]).await;
    assert_eq!(rows.len(), sent);
    for row in rows {
        let (raw, payload) = (row.get::<_, Option<Vec<u8>>>(0), row.get::<_, Option<String>>(1));
        let kept = raw.or(payload.map(String::into_bytes)).unwrap();
        let detail: String = row.get(2);
        assert!(!holds_token(&kept), "{detail}: {}", String::from_utf8_lossy(&kept));
    }
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_looked_into_is_kept_as_its_mark_and_hash() {
    let world = World::new().await;
    let node = world.start_node().await;
    let body = gzip(&telemetry(&device(0, 1), 1).payload);
    world.publish([on_telemetry(body.clone()), on_telemetry(gzip(b"nothing to hide in here"))]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let rows = world.database.query("SELECT raw, detail FROM quarantine_events ORDER BY stream_seq", &[]).await;
    assert_eq!(rows[0].get::<_, &[u8]>(0), &body[..8]);
    let detail: String = rows[0].get(1);
    let hash = ingest_core::message::digest::sha256_hex(&body);
    assert!(detail.ends_with(&format!("kept the first 8 of {} bytes, sha256 {hash}", body.len())), "{detail}");
    assert_eq!(rows[1].get::<_, &[u8]>(0), gzip(b"nothing to hide in here"));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_is_too_large_the_first_8_kib_are_kept_without_a_token_at_the_cut() {
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    let node = world.start_node().await;
    // The cut goes through the envelope's token, wherever the padding puts it.
    for padding in (8_100..8_200).step_by(7) {
        let text = format!(
            r#"{{"topic":"tenant/tenant-0/device/dev-0000/telemetry","payload":{{"pad":"{}","provision_token":"{TOKEN}","more":"{}"}}}}"#,
            "x".repeat(padding),
            "y".repeat(900_000)
        );
        world.publish([on_telemetry(text.clone()), on_telemetry(text.replace(":{\"pad\"", ":NaN,{\"pad\""))]).await;
    }
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("quarantine_events WHERE octet_length(raw) <= 8192 AND payload IS NULL").await, 30);
    assert_eq!(world.database.count("quarantine_events WHERE detail LIKE '%kept the first 8192 of 9%bytes'").await, 30);
    for row in world.database.query("SELECT raw FROM quarantine_events", &[]).await {
        let raw = String::from_utf8_lossy(row.get::<_, &[u8]>(0)).into_owned();
        let after = raw.split("provision_token\":\"").nth(1).unwrap_or("***");
        assert!("***".starts_with(after) || after.starts_with("***"), "{after}");
    }
    drain(node).await;
}

//! What each request is answered, and what of it is on the stream.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ingest_kit::seed::{self, Device};
use serde_json::json;

use super::{body, envelopes, reason, rows, wait_status, world_with};
use crate::world::drain;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).expect("gzip");
    gzip.finish().expect("gzip")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_by_its_own_reason_and_only_what_is_accepted_is_on_the_stream() {
    let good = Device::active("acme", "dev-1", "tok-1");
    let of = |id: &str| Device::active("acme", id, &format!("tok-{id}"));
    let odd = Device::active("a b.é", "+#.*>", "tok-\"odd\\");
    let revoked = Device { status: "REVOKED".to_owned(), ..of("revoked") };
    let suspended = Device { subscription_status: Some("SUSPENDED".to_owned()), ..of("suspended") };
    let expired = Device { subscription_status: Some("EXPIRED".to_owned()), ..of("expired") };
    let tokenless = Device { token: None, ..of("tokenless") };
    let all = [&good, &odd, &revoked, &suspended, &expired, &tokenless].map(Clone::clone);
    let (world, node, gateway) = world_with(&all).await;

    // Accepted: the body as written, the header's token at its end.
    let written = "{\"site_id\" : \"site-1\",\t\"seq\":7.0,\"x\":[1e400,{\"b\":24.0}],\"metrics\":{\"t\":24.0}, \"provision_token\":\"other\" }";
    let answer = gateway.send(&good, "telemetry", &format!("\r\n {written} ")).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"status": "accepted", "device_id": "dev-1", "seq": 7})));
    let sent = envelopes(&world, "TELEMETRY").await;
    let expected = format!("\"payload\":{},\"provision_token\":\"tok-1\"}}}}", &written[..written.len() - 1]);
    let text = std::str::from_utf8(&sent[0]).expect("UTF-8");
    assert!(text.ends_with(&expected), "{text}\n{expected}");
    assert!(text.starts_with(r#"{"topic":"tenant/acme/device/dev-1/telemetry","#), "{text}");

    let path = |tenant: &str, device: &str, kind: &str| format!("/ingest/v1/tenant/{tenant}/device/{device}/{kind}");
    let to_good = path("acme", "dev-1", "telemetry");
    // The token of the body counts where there is no other.
    let with_token = r#"{"site_id":"site-1","provision_token":"tok-1"}"#;
    assert_eq!(gateway.post(&to_good, "", &[], with_token).await.status, 202);
    let encoded = path("a%20b.%C3%A9", "%2B%23.*%3E", "heartbeat");
    assert_eq!(gateway.post(&encoded, "tok-\"odd\\", &[], body(&odd, 1)).await.status, 202);
    let packed = gateway.post(&to_good, "tok-1", &["Content-Encoding: gzip"], gzip(body(&good, 2).as_bytes())).await;
    assert_eq!(packed.status, 202, "{}", packed.body);

    let site = r#"{"site_id":"site-1"}"#;
    let large = format!(r#"{{"site_id":"site-1","x":"{}"}}"#, "x".repeat(8_192));
    let keys: serde_json::Map<_, _> = (0..51).map(|n| (format!("m{n}"), json!(n))).collect();
    let many = json!({"site_id": "site-1", "metrics": keys}).to_string();
    let long_key = json!({"site_id": "site-1", "metrics": {"k".repeat(129): 1}}).to_string();
    let long_name = path("acme", &"d".repeat(256), "telemetry");
    let bad: &[(&str, &str, &str, u16, &str)] = &[
        (&to_good, "tok-1", "", 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", "{", 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", "[]", 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","seq":NaN}"#, 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","seq":1.5}"#, 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","metrics":[]}"#, 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","x":"\u0000"}"#, 400, "INVALID_PAYLOAD"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","version":"2"}"#, 400, "UNSUPPORTED_ENVELOPE_VERSION"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","tenant_id":"b"}"#, 400, "TENANT_MISMATCH_TOPIC_VS_PAYLOAD"),
        (&to_good, "tok-1", "{}", 400, "MISSING_SITE_ID"),
        (&to_good, "tok-1", &large, 400, "PAYLOAD_TOO_LARGE"),
        (&to_good, "tok-1", &many, 400, "TOO_MANY_METRICS"),
        (&to_good, "tok-1", &long_key, 400, "METRIC_KEY_TOO_LONG"),
        (&to_good, "tok-1", r#"{"site_id":"site-1","metrics":{"\n":1}}"#, 400, "METRIC_KEY_INVALID"),
        (&to_good, "tok-1", r#"{"site_id":"elsewhere"}"#, 400, "SITE_MISMATCH_REGISTRY_VS_PAYLOAD"),
        (&to_good, "", site, 401, "TOKEN_MISSING"),
        (&to_good, "wrong", with_token, 401, "TOKEN_INVALID"),
        (&path("acme", "tokenless", "telemetry"), "x", site, 401, "TOKEN_NOT_SET_IN_REGISTRY"),
        (&path("acme", "nobody", "telemetry"), "x", site, 403, "UNREGISTERED_DEVICE"),
        (&path("acme", "revoked", "telemetry"), "tok-revoked", site, 403, "DEVICE_REVOKED"),
        (&path("acme", "suspended", "telemetry"), "tok-suspended", site, 403, "SUBSCRIPTION_SUSPENDED"),
        (&path("acme", "expired", "telemetry"), "tok-expired", site, 403, "SUBSCRIPTION_EXPIRED"),
        (&path("acme", "dev-1", "shadow"), "tok-1", site, 400, "INVALID_MSG_TYPE"),
        (&path("acme", "dev-1", "telemetry%2Fx"), "tok-1", site, 400, "INVALID_MSG_TYPE"),
        // A slash in a name can't make it another device's message.
        (&path("acme%2Fdevice%2Fdev-1%2Ftelemetry", "x", "telemetry"), "tok-1", site, 400, "BAD_TOPIC_FORMAT"),
        (&path("acme", "dev-1%2Ftelemetry", "telemetry"), "tok-1", site, 400, "BAD_TOPIC_FORMAT"),
        (&path("acme", "%00", "telemetry"), "tok-1", site, 400, "BAD_TOPIC_FORMAT"),
        (&path("acme", "%FF", "telemetry"), "tok-1", site, 400, "BAD_TOPIC_FORMAT"),
        (&long_name, "tok-1", site, 400, "BAD_TOPIC_FORMAT"),
        ("/nowhere", "tok-1", site, 404, "NOT_FOUND"),
    ];
    for (path, token, body, status, code) in bad {
        let answer = gateway.post(path, token, &[], body).await;
        assert_eq!(reason(&answer), (*status, json!(code)), "{path} {body}: {}", answer.body);
        assert_eq!(answer.json()["status"], "rejected");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{code}: {}", answer.body);
    }
    let faulty: &[(&[&str], &[u8], u16, &str)] = &[
        (&["Content-Encoding: br"], site.as_bytes(), 400, "INVALID_ENCODING"),
        (&["Content-Encoding: gzip"], site.as_bytes(), 400, "INVALID_ENCODING"),
        (&["Content-Encoding: gzip"], &gzip(&vec![b' '; 50_000_000]), 400, "PAYLOAD_TOO_LARGE"),
        // More than is read at all: its client can still read the answer.
        (&[], &vec![b' '; 5_000_000], 400, "PAYLOAD_TOO_LARGE"),
        (&["Idempotency-Key: \u{e9}"], site.as_bytes(), 400, "INVALID_IDEMPOTENCY_KEY"),
    ];
    for (headers, body, status, code) in faulty {
        let answer = gateway.post(&to_good, "tok-1", headers, body).await;
        assert_eq!(reason(&answer), (*status, json!(code)), "{headers:?}: {}", answer.body);
    }
    for stranger in 0..200 {
        let path = path(&format!("t{stranger}"), "x", "telemetry");
        assert_eq!(gateway.post(&path, "x", &[], site).await.status, 403);
    }
    assert_eq!(rows(&world).await, 4);
    assert_eq!(envelopes(&world, "TELEMETRY").await.len(), 4, "what is refused is not on the stream");
    assert_eq!(world.database.count("quarantine_events").await, 0, "the pipeline has nothing to add");

    // The pipeline's own rate limit.
    seed::app_settings(&world.database, &[("RATE_LIMIT_RPS", "0.2"), ("RATE_LIMIT_BURST", "1")]).await;
    let limited = wait_status("429", 429, async || gateway.send(&good, "telemetry", &body(&good, 3)).await).await;
    assert_eq!((reason(&limited).1, limited.header("Retry-After")), (json!("RATE_LIMITED"), Some("5")));
    let refused = gateway.refusals().await;
    assert_eq!((refused["UNREGISTERED_DEVICE"], refused["RATE_LIMITED"]), (201, 1), "{refused:?}");
    assert_eq!(refused["BAD_TOPIC_FORMAT"], 5, "{refused:?}");
    drain(gateway.node).await;
    drain(node).await;
}

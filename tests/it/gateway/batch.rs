//! Batches: each message is decided by itself.

use ingest_kit::seed::Device;
use serde_json::{Value, json};

use super::{Gateway, envelopes, rows, world_with};
use crate::world::drain;

async fn send(gateway: &Gateway, messages: &[String]) -> (u16, Value) {
    let answer = gateway.post("/ingest/v1/batch", "", &[], format!("{{\"messages\":[{}]}}", messages.join(","))).await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_message_of_a_batch_is_its_own_affair() {
    let devices: Vec<_> = (0..3).map(|n| Device::active("acme", &format!("dev-{n}"), &format!("tok-{n}"))).collect();
    let (world, node, gateway) = world_with(&devices).await;
    let message = |n: u32, more: &str| {
        format!(
            r#"{{"tenant_id":"acme", "device_id":"dev-{n}","msg_type":"telemetry","provision_token":"tok-{n}","site_id":"site-1"{more}}}"#
        )
    };
    let messages = [
        message(0, r#","seq":1,"metrics":{"t":24.0}"#),
        "5".to_owned(),
        message(1, r#","seq":"x""#),
        message(2, r#","provision_token":"wrong""#),
        message(9, ""),
        message(1, r#","msg_type":"shadow""#),
        message(1, r#","device_id":7"#),
        message(2, r#","unknown":  {"kept": [1]}"#),
    ];
    let (status, answer) = send(&gateway, &messages).await;
    assert_eq!((status, &answer["accepted"], &answer["rejected"]), (202, &json!(2), &json!(6)), "{answer}");
    let results: Vec<Value> = answer["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| json!([result["index"], result["status"], result["reason"], result["device_id"]]))
        .collect();
    let expected = json!([
        [0, "accepted", null, "dev-0"],
        [1, "rejected", "INVALID_PAYLOAD", null],
        [2, "rejected", "INVALID_PAYLOAD", "dev-1"],
        [3, "rejected", "TOKEN_INVALID", "dev-2"],
        [4, "rejected", "UNREGISTERED_DEVICE", "dev-9"],
        [5, "rejected", "INVALID_MSG_TYPE", "dev-1"],
        [6, "rejected", "INVALID_PAYLOAD", null],
        [7, "accepted", null, "dev-2"],
    ]);
    assert_eq!(Value::from(results), expected);
    let sent = envelopes(&world, "TELEMETRY").await;
    for (envelope, message) in sent.iter().zip([&messages[0], &messages[7]]) {
        let text = std::str::from_utf8(envelope).expect("UTF-8");
        assert!(text.ends_with(&format!("\"payload\":{message}}}")), "{text}");
    }

    let (status, answer) = send(&gateway, &messages[1..3]).await;
    assert_eq!((status, &answer["accepted"]), (400, &json!(0)), "{answer}");
    for body in ["", "{}", "[]", "{\"messages\":[]}", "{\"messages\":5}"] {
        let answer = gateway.post("/ingest/v1/batch", "", &[], body).await;
        assert_eq!((answer.status, &answer.json()["reason"]), (400, &json!("INVALID_BATCH")), "{body}");
    }
    let hundred: Vec<String> = (0..100).map(|seq| message(seq % 3, &format!(r#","seq":{seq}"#))).collect();
    let (status, answer) = send(&gateway, &hundred).await;
    assert_eq!((status, &answer["accepted"]), (202, &json!(100)), "{answer}");
    let (status, _) = send(&gateway, &[&hundred[..], &hundred[..1]].concat()).await;
    assert_eq!(status, 400);

    // The same batch again, and once more: stored once.
    let key = ["Idempotency-Key: batch 1"];
    let body = format!("{{\"messages\":[{}]}}", hundred.join(","));
    for is_replayed in [false, true] {
        let answer = gateway.post("/ingest/v1/batch", "", &key, &body).await;
        assert_eq!((answer.status, answer.header("Idempotency-Replayed").is_some()), (202, is_replayed));
    }
    assert_eq!(rows(&world).await, 202);
    drain(gateway.node).await;
    drain(node).await;
}

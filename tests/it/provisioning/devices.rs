//! The interface row by row, and that secrets stay secret.

use ingest_core::message::digest::sha256_hex;
use ingest_kit::seed::Device;
use ingest_kit::wait_for;
use serde_json::json;

use super::{KEY, activate, becomes, register, registered, start_with_admin};
use crate::world::{DEADLINE, World, drain};

const DEVICES: &str = "/api/admin/devices";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_registered_activated_revoked_and_rotated_and_its_messages_follow() {
    let world = World::new().await;
    let (node, admin) = start_with_admin(&world).await;
    let row = "SELECT site_id, status, fw_version, metadata::text, provision_token_hash FROM device_registry
        WHERE device_id = 'dev 1'";
    let row = async || {
        let rows = world.database.query(row, &[]).await;
        let text = |column| rows[0].get::<_, Option<String>>(column).unwrap_or_default();
        [text(0), text(1), text(2), text(3), text(4)]
    };
    let body = |site: &str| json!({"tenant_id": "acme", "device_id": "dev 1", "site_id": site});

    let mut first = body("hall/1");
    (first["fw_version"], first["metadata"]) = (json!("1.2"), json!({"rack": 7}));
    let answer = admin.post(DEVICES, &first).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let code = answer.text("activation_code");
    assert!(code.len() == 24 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{code}");
    assert_eq!(["tenant_id", "device_id", "site_id"].map(|member| answer.text(member)), ["acme", "dev 1", "hall/1"]);
    assert_eq!(answer.body["influx_database"], json!({"name": "telemetry_acme", "state": "requested"}));
    let in_an_hour = format!(
        "(SELECT timestamptz '{}' - now() AS rest) AS r WHERE rest > interval '59 minutes' AND rest <= \
        interval '1 hour'",
        answer.text("expires_at")
    );
    assert_eq!(world.database.count(&in_an_hour).await, 1, "{answer:?}");
    assert_eq!(row().await, ["hall/1", "ACTIVE", "1.2", r#"{"rack": 7}"#, ""]);

    // Where it takes longer, the database is made after the answer.
    let is_made = async || world.influx.databases().contains(&"telemetry_acme".to_owned());
    wait_for("the tenant's database", DEADLINE, is_made).await;

    // Registered again: site and metadata are replaced, the version stays, and the code before works no longer.
    let second = admin.post(DEVICES, &body("site-1")).await;
    assert_eq!((second.status, &second.body["influx_database"]["state"]), (200, &json!("exists")));
    assert_eq!(row().await, ["site-1", "ACTIVE", "1.2", "{}", ""]);
    assert_eq!(activate(&admin, "acme", "dev 1", &code).await.error(), (400, "code_invalid"));
    let newer = second.text("activation_code");

    // A foreign device's code, a code that is too old, and one that was used.
    let foreign = register(&admin, "acme", "other").await;
    assert_eq!(activate(&admin, "acme", "dev 1", &foreign).await.error(), (400, "code_invalid"));
    world.database.execute("UPDATE device_activation SET expires_at = now() WHERE device_id = 'other'").await;
    assert_eq!(activate(&admin, "acme", "other", &foreign).await.error(), (400, "code_expired"));
    let activated = activate(&admin, "acme", "dev 1", &newer).await;
    assert_eq!(activated.status, 200, "{activated:?}");
    let token = activated.text("provision_token");
    assert!(token.len() == 36 && token.starts_with("tok-"), "{token}");
    assert_eq!(row().await[4], sha256_hex(token.as_bytes()));
    assert_eq!(activate(&admin, "acme", "dev 1", &newer).await.error(), (400, "code_used"));
    let device = Device::active("acme", "dev 1", &token);
    becomes(&world, &device, 100, None).await;

    // Another token: the one before is refused.
    let rotated = admin.post(&format!("{DEVICES}/acme/dev%201/rotate-token"), &json!({})).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let newer_token = rotated.text("provision_token");
    becomes(&world, &device, 200, Some("TOKEN_INVALID")).await;
    let device = Device { token: Some(newer_token.clone()), ..device };
    becomes(&world, &device, 300, None).await;
    let missing = admin.post(&format!("{DEVICES}/acme/nobody/rotate-token"), &json!({})).await;
    assert_eq!(missing.error(), (404, "unknown_device"));

    // Revoked, with the code that nobody has used yet; also a device that is not there.
    let unused = register(&admin, "acme", "dev 1").await;
    for (id, seq) in [("dev%201", 400), ("nobody", 500)] {
        let revoked = admin.post(&format!("{DEVICES}/acme/{id}/revoke"), &json!({})).await;
        assert_eq!((revoked.status, revoked.body), (200, json!({"ok": true})), "{id}");
        becomes(&world, &device, seq, Some("DEVICE_REVOKED")).await;
    }
    assert_eq!(activate(&admin, "acme", "dev 1", &unused).await.error(), (400, "code_invalid"));
    let listed = admin.get(&format!("{DEVICES}?tenant_id=acme&status=REVOKED")).await;
    let expected = json!([{"tenant_id": "acme", "device_id": "dev 1", "site_id": "site-1", "status": "REVOKED",
        "fw_version": "1.2", "token_set": true, "created_at": listed.body[0]["created_at"]}]);
    assert_eq!(listed.body, expected);
    let last = register(&admin, "acme", "dev 1").await;
    // Active again, with the token that it had.
    becomes(&world, &device, 600, None).await;

    let history =
        "SELECT string_agg(action, ' ' ORDER BY created_at) FROM device_token_history WHERE device_id = 'dev 1'";
    let history: String = world.database.query(history, &[]).await[0].get(0);
    assert_eq!(history, "ACTIVATED ROTATED REVOKED");
    let metrics = node.metrics().await;
    let count =
        |endpoint, status| metrics.count("ingest_admin_requests_total", &[("endpoint", endpoint), ("status", status)]);
    assert_eq!([count("register", "201"), count("register", "200"), count("list", "200")], [2, 3, 1]);
    assert_eq!([count("activate", "200"), count("activate", "400")], [1, 5]);
    assert_eq!([count("revoke", "200"), count("rotate_token", "200"), count("rotate_token", "404")], [2, 1, 1]);

    // Each change is one line of the log; no secret is in it, nor in the database, nor among the metrics.
    for (line, times) in
        [("device registered", 5), ("device activated", 1), ("device revoked", 1), ("device token rotated", 1)]
    {
        assert_eq!(node.wait_logged(line, times).await, times, "{line}");
    }
    let scrape = node.get("/metrics").await.expect("a scrape").body;
    for secret in [&code, &newer, &foreign, &unused, &last, &token, &newer_token, KEY] {
        assert_eq!(world.database.occurrences_of(secret).await, []);
        assert!(!node.log().contains(secret) && !scrape.contains(secret), "{secret}");
    }
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_malformed_is_a_400_that_names_the_field_and_changes_nothing() {
    let world = World::new().await;
    let (node, admin) = start_with_admin(&world).await;
    let good = json!({"tenant_id": "t", "device_id": "d", "site_id": "s"});
    for (field, value) in [
        ("tenant_id", json!("")),
        ("tenant_id", json!("a/b")),
        ("tenant_id", json!("x".repeat(256))),
        ("tenant_id", json!(7)),
        ("device_id", json!("a+")),
        ("device_id", json!("a#")),
        ("device_id", json!("a\u{0}")),
        ("device_id", json!(null)),
        ("site_id", json!("")),
        ("site_id", json!("a\nb")),
        ("fw_version", json!(1.2)),
        ("metadata", json!("text")),
        ("metadata", json!({"a": "\u{0}"})),
        ("metadata", json!({"a": "x".repeat(17_000)})),
        ("unknown", json!(1)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer = admin.post(DEVICES, &body).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{body}");
        assert!(answer.text("detail").starts_with(&format!("{field}: ")), "{answer:?}");
    }
    for missing in ["tenant_id", "device_id", "site_id"] {
        let mut body = good.clone();
        body.as_object_mut().expect("an object").remove(missing);
        assert_eq!(admin.post(DEVICES, &body).await.text("detail"), format!("{missing}: is missing"));
        let code = admin.post("/api/device/activate", &json!({"tenant_id": "t", "device_id": "d"})).await;
        assert_eq!(code.text("detail"), "activation_code: is missing");
    }
    for body in [&b"{"[..], b"[]", b"", b"\xff", br#"{"tenant_id": "\ud800"}"#] {
        assert_eq!(admin.request("POST", DEVICES, body).await.error(), (400, "invalid_request"));
    }
    for query in ["limit=0", "limit=1001", "limit=many", "colour=red", "tenant_id=%00"] {
        let answer = admin.get(&format!("{DEVICES}?{query}")).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{query}");
    }
    for path in ["a%00/b", "%ff/b"] {
        let answer = admin.post(&format!("{DEVICES}/{path}/revoke"), &json!({})).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{path}");
    }
    assert_eq!(admin.request("POST", DEVICES, &[b' '; 40_000]).await.error(), (413, "too_large"));
    // A body that never ends does not hold its connection for ever.
    assert_eq!(admin.send("POST", DEVICES, 100, b"{").await.error(), (408, "too_slow"));
    // Nor do hundreds of silent connections keep anybody out.
    let mut hogs = Vec::new();
    for _ in 0..300 {
        hogs.push(tokio::net::TcpStream::connect(&admin.address).await.expect("a connection"));
    }
    assert_eq!(admin.get(DEVICES).await.status, 200);
    assert_eq!(
        node.get(DEVICES).await.map(|answer| answer.status),
        Some(404),
        "the probes' listener knows nothing of it"
    );
    drop(hogs);
    assert_eq!(admin.request("DELETE", DEVICES, b"").await.error(), (405, "method_not_allowed"));
    assert_eq!(admin.get("/api/admin/nothing").await.error(), (404, "not_found"));
    assert_eq!(world.database.count("device_registry").await + world.database.count("device_activation").await, 0);

    for device in ["a", "b", "c"] {
        registered(&admin, "t", device).await;
    }
    let ids = |answer: &super::Answer| {
        let devices = answer.body.as_array().expect("a list").clone();
        devices.iter().map(|device| device["device_id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&admin.get(&format!("{DEVICES}?limit=2")).await), ["a", "b"]);
    assert_eq!(ids(&admin.get(&format!("{DEVICES}?site_id=site-1&status=ACTIVE")).await).len(), 3);
    assert_eq!(ids(&admin.get(&format!("{DEVICES}?tenant_id=other")).await).len(), 0);
    drain(node).await;
}

//! `tap`: messages of a running node, as its checks decide them.

use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Finished, Node, NodeBuilder, free_port, get, get_with, wait_for};
use serde_json::{Value, json};

use crate::document::block;
use crate::world::{DEADLINE, LANES, World, drain, node, start};

/// A key as `openssl rand -hex 32` makes them.
const KEY: &str = "5d3e0c9a71f84b26a8d1e7b35fc2096e4a7b18d30f6c52e9817ad4c3b05f692e";

/// A message with another site than its device's, and with what would clear a terminal.
fn hostile(device: &Device, seq: u64) -> Outgoing {
    let mut payload = payload(device, seq);
    payload["site_id"] = json!("\u{1b}[2J\u{9b}2J\u{202e}");
    outgoing(device, "telemetry", "telemetry", &payload)
}

/// A tap on the node at this address, to be started.
fn tap(address: &str, arguments: &[&str]) -> NodeBuilder {
    let url = format!("http://{address}");
    node().env("ADMIN_KEY", KEY).arguments(&[&["tap", "--url", &url], arguments].concat())
}

/// Waits until so many taps have been opened.
async fn wait_open(node: &Node, taps: u64) {
    let opened = [("endpoint", "tap"), ("status", "200")];
    wait_for("the taps to be open", DEADLINE, async || {
        node.metrics().await.count("ingest_admin_requests_total", &opened) == taps
    })
    .await;
}

fn samples(tap: &Node) -> Vec<Value> {
    tap.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_shows_what_it_is_asked_for_without_tokens_and_ends_by_itself() {
    let world = World::new().await;
    let [one, other] = [0, 1].map(|number| device(number, 2));
    seed::devices(&world.database, &[one.clone(), other.clone()]).await;
    let address = format!("127.0.0.1:{}", free_port());
    let running = start(world.node().env("ADMIN_BIND", &address).env("ADMIN_KEY", KEY)).await;

    let rejected = ["--tenant", "tenant-0", "--reason", "site_mismatch_registry_vs_payload", "--limit", "2"];
    let mut of_tenant = tap(&address, &rejected).start();
    let mut of_all = tap(&address, &[]).start();
    wait_open(&running, 2).await;
    let bytes = Outgoing::new("telemetry.tenant-0", &b"{\"provision_token\":\"tok-secret-0\" \x1b[2J\xff"[..]);
    let messages = [hostile(&one, 1), telemetry(&one, 2), hostile(&other, 3), bytes, hostile(&one, 4)];
    world.publish(messages).await;

    assert_eq!(of_tenant.wait_exit(DEADLINE).await, Some(0), "{}", of_tenant.log());
    let shown = samples(&of_tenant);
    let seqs: Vec<_> = shown.iter().map(|sample| sample["payload"]["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(1), Some(4)], "{shown:#?}");
    assert!(shown.iter().all(|sample| sample["outcome"] == "rejected" && sample["device"] == "dev-0000"), "{shown:#?}");
    wait_for("all messages to be shown", DEADLINE, async || samples(&of_all).len() == 5).await;
    let mut outcomes: Vec<String> = samples(&of_all).iter().map(|sample| sample["outcome"].to_string()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["\"accepted\"", "\"rejected\"", "\"rejected\"", "\"rejected\"", "\"rejected\""]);
    for log in [of_tenant.log(), of_all.log()] {
        let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(!log.contains("tok-secret") && log.chars().all(is_harmless), "{log:?}");
    }
    of_all.sigint();
    assert_eq!(of_all.wait_exit(DEADLINE).await, Some(0), "{}", of_all.log());

    // The command of the page; and a node that is drained ends its taps without waiting for them.
    let documented = block("answers.md", "tap");
    let arguments: Vec<&str> = documented.split_whitespace().skip(2).collect();
    let mut ended = tap(&address, &arguments).start();
    wait_open(&running, 3).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    drain(running).await;
    assert_eq!(ended.wait_exit(DEADLINE).await, Some(69), "{}", ended.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_needs_the_key_and_a_node() {
    let world = World::new().await;
    let address = format!("127.0.0.1:{}", free_port());
    let running = start(world.node().env("ADMIN_BIND", &address).env("ADMIN_KEY", KEY)).await;
    let said = async |builder: NodeBuilder| {
        let Finished { code, stderr, .. } = builder.run_to_end(DEADLINE).await;
        (code, stderr)
    };
    for (builder, code, what) in [
        (node().arguments(&["tap"]), 64, "no admin key"),
        (tap(&address, &[]).env("ADMIN_KEY", KEY.replace('5', "6")), 64, "X-Admin-Key is missing or wrong"),
        (tap(&address, &["--key-file", "/nowhere"]), 64, "--key-file /nowhere"),
        (tap(&address, &["--reason", "NONE"]), 64, "--reason"),
        (tap(&address, &["--limit", "0"]), 64, "--limit"),
        (tap("", &[]), 64, "http://HOST:PORT"),
        (tap(&format!("127.0.0.1:{}", free_port()), &[]), 69, "can't be reached"),
    ] {
        let (found, stderr) = said(builder).await;
        assert_eq!(found, Some(code), "{what}: {stderr}");
        assert!(stderr.contains(what) && !stderr.contains(&KEY[..8]), "{stderr}");
    }
    let without_key = get(&address, "/tap").await.expect("an answer");
    assert_eq!(without_key.status, 401, "{}", without_key.body);
    let key = format!("X-Admin-Key: {KEY}");
    for query in ["outcome=good", "reason=NONE", "limit=0", "limit=x", "tenants=a"] {
        let answer = get_with(&address, &format!("/tap?{query}"), &[&key]).await.expect("an answer");
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("bad_query")), "{query}: {}", answer.body);
    }
    drain(running).await;
}

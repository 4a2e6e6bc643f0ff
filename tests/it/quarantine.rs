//! `ingest-node quarantine`: what was refused is looked at, and replayed.
#![allow(clippy::unwrap_used)]

use ingest_core::reprocess::proof;
use ingest_core::reprocess::proof::{FirstDelivery, Key};
use ingest_kit::envelope::{device, outgoing, payload, telemetry, token};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Finished, Node, wait_for};
use serde_json::{Value, json};

use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain};

impl World {
    async fn quarantine(&self, arguments: &[&str]) -> Finished {
        let finished = self.node().arguments(&[&["quarantine"], arguments].concat()).run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
        finished
    }

    /// What a command with `--json` says, a value per line.
    async fn quarantine_json(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.quarantine(&[arguments, &["--json"]].concat()).await.stdout;
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Replays, and waits until the node has dealt with it; how many were replayed, and how many could not be.
    async fn replay(&self, arguments: &[&str]) -> (u64, u64) {
        let said = self.quarantine_json(&[&["replay"], arguments].concat()).await;
        self.wait_settled(LANES[0], DEADLINE).await;
        let not_replayable = said[0]["not_replayable"].as_object().unwrap();
        (said[0]["replayed"].as_u64().unwrap(), not_replayable.values().map(|count| count.as_u64().unwrap()).sum())
    }

    async fn sum(&self, sql: &str) -> i64 {
        self.database.query(sql, &[]).await[0].get(0)
    }
}

/// A message with these payload members instead of the good ones.
fn with(device: &Device, seq: u64, members: Value) -> Outgoing {
    let mut payload = payload(device, seq);
    for (key, value) in members.as_object().unwrap() {
        payload[key] = value.clone();
    }
    outgoing(device, "telemetry", "telemetry", &payload)
}

/// Changes the registry and waits until the node has heard of it.
async fn change(world: &World, node: &Node, sql: &str) {
    let heard = async || node.metrics().await.count("ingest_registry_invalidations_total", &[]);
    let before = heard().await;
    world.database.execute(sql).await;
    wait_for("the change to be heard of", DEADLINE, async || heard().await > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_suspended_tenant_sent_is_stored_once_however_often_it_is_replayed() {
    const GOOD: u64 = 20;
    const STRANGE: u64 = 5;
    let world = World::new().await;
    let mut suspended = device(0, 1);
    suspended.subscription_status = Some("SUSPENDED".to_owned());
    seed::devices(&world.database, std::slice::from_ref(&suspended)).await;
    let node = world.start_node().await;
    let good = (0..GOOD).map(|seq| telemetry(&suspended, seq));
    // Refused for the same reason, but their sender has not proven that it is the device.
    let strange = (GOOD..GOOD + STRANGE).map(|seq| with(&suspended, seq, json!({"provision_token": "guessed"})));
    world.publish(good.chain(strange)).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("quarantine_events WHERE reason = 'SUBSCRIPTION_SUSPENDED'").await, GOOD + STRANGE);
    assert_eq!(world.database.count("quarantine_events WHERE authenticated").await, GOOD);

    // Nothing has changed yet: they are refused again, and neither stored nor counted a second time.
    assert_eq!(world.replay(&["--dry-run"]).await, (GOOD, STRANGE));
    assert_eq!(world.database.count("quarantine_events WHERE replays > 0").await, 0);
    // What is only counted by now would be counted again.
    change(&world, &node, "UPDATE app_settings SET value = '0' WHERE key = 'STORE_REJECTS'").await;
    assert_eq!(world.replay(&[]).await, (GOOD, STRANGE));
    assert_eq!(world.database.count("quarantine_events").await, GOOD + STRANGE);
    let counted = "SELECT sum(cnt)::bigint FROM quarantine_counters_minute";
    assert_eq!(world.sum(counted).await as u64, GOOD + STRANGE);
    assert_eq!(world.database.count("raw_events").await, 0);

    change(&world, &node, "UPDATE subscriptions SET status = 'ACTIVE'").await;
    assert_eq!(world.replay(&[]).await, (0, STRANGE), "replayed before");
    assert_eq!(world.replay(&["--again", "--reason", "subscription_suspended"]).await, (GOOD, STRANGE));
    let originals = "raw_events JOIN quarantine_events USING (received_at, stream, stream_seq) WHERE accepted";
    assert_eq!(world.database.count(originals).await, GOOD, "rows under the facts of their first life");
    assert_eq!(world.database.count("raw_events").await, GOOD);

    assert_eq!(world.replay(&["--again", "--since", "1h", "--rate", "5000"]).await, (GOOD, STRANGE));
    assert_eq!(world.database.count("raw_events").await, GOOD, "stored twice");
    assert_eq!(world.sum("SELECT max(replays)::bigint FROM quarantine_events").await, 3);
    wait_for("the points", DEADLINE, async || {
        world.influx.point_count(&database(&suspended.tenant_id)) == GOOD as usize
    })
    .await;

    // The operator vouches for the others.
    assert_eq!(world.replay(&["--trust", "--limit", "2"]).await, (2, 0));
    assert_eq!(world.replay(&["--trust"]).await, (STRANGE - 2, 0));
    assert_eq!(world.database.count("raw_events").await, GOOD + STRANGE);
    assert_eq!(world.database.count("quarantine_events").await, GOOD + STRANGE);
    assert_eq!(world.sum(counted).await as u64, GOOD + STRANGE);
    for secret in [&*token(0), "guessed"] {
        assert_eq!(world.database.occurrences_of(secret).await, []);
    }
    let unproven = node.metrics().await.count("ingest_replays_total", &[("result", "unproven")]);
    assert_eq!(unproven, 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_replay_gains_nothing() {
    let world = World::new().await;
    let target = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&target)).await;
    let node = world.start_node().await;

    let secret = world.database.query("SELECT secret FROM ingest_node.secrets WHERE name = 'replay'", &[]).await;
    let key = Key::new(secret[0].get(0)).expect("the migration's key");
    let facts = FirstDelivery {
        stream: "TELEMETRY".to_owned(),
        stream_seq: 77,
        received_us: 1_795_219_200_000_000,
        trusted: true,
    };
    let tokenless = |seq| with(&target, seq, json!({"provision_token": null}));
    let genuine = facts.header(&key, &tokenless(0).payload);
    let validated = FirstDelivery { trusted: false, ..facts.clone() }.header(&key, &tokenless(1).payload);
    world
        .publish([
            tokenless(1).header(proof::HEADER, &genuine),
            tokenless(1).header(proof::HEADER, &validated.replace("judged", "trusted")),
            tokenless(2).header(proof::HEADER, &facts.header(&Key::new(&[0; 32]).unwrap(), &tokenless(2).payload)),
            tokenless(3).header(proof::HEADER, "v1;TELEMETRY;77;1795219200000000;trusted;"),
        ])
        .await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 0);
    let own = "quarantine_events WHERE reason = 'TOKEN_MISSING' AND NOT authenticated AND stream_seq <= 4";
    assert_eq!(world.database.count(own).await, 4, "refused under their own facts");
    assert_eq!(node.metrics().await.count("ingest_replays_total", &[("result", "unproven")]), 4);

    // The same header on its own message is good, and good for one row.
    let replayed = tokenless(0).header(proof::HEADER, &genuine);
    world.publish([replayed.clone(), replayed]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 1);
    assert_eq!(
        world.database.count("raw_events WHERE stream_seq = 77 AND received_at = '2026-11-21T00:00:00Z'").await,
        1
    );
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quarantine_can_be_looked_at() {
    let world = World::new().await;
    let known = device(0, 1);
    // A tenant with a device is counted by name.
    let neighbour = Device::active("tenant-1", "somebody", "tok-secret-of-somebody");
    seed::devices(&world.database, &[known.clone(), neighbour]).await;
    let node = world.start_node().await;
    let stranger = Device::active("tenant-1", "nobody", "tok-secret-of-nobody");
    let bytes = Outgoing::new("telemetry.tenant-0", &b"{\"provision_token\":\"tok-secret-0\" \x1b[2J\xff"[..]);
    world.publish([with(&known, 1, json!({"site_id": "elsewhere"})), telemetry(&stranger, 2), bytes]).await;
    world.wait_settled(LANES[0], DEADLINE).await;

    let listed = world.quarantine_json(&["list"]).await;
    let mut reasons: Vec<_> = listed.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["BAD_ENVELOPE", "SITE_MISMATCH_REGISTRY_VS_PAYLOAD", "UNREGISTERED_DEVICE"]);
    let ids: Vec<_> = listed.iter().map(|event| event["id"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first: {ids:?}");
    assert_eq!(world.quarantine_json(&["list", "--tenant", "tenant-1", "--since", "1h"]).await.len(), 1);
    assert_eq!(world.quarantine_json(&["list", "--since", "2100-01-01"]).await.len(), 0);
    assert_eq!(world.quarantine_json(&["list", "--limit", "2"]).await.len(), 2);
    let of_device = world.quarantine_json(&["list", "--device", "nobody"]).await;
    assert_eq!((of_device.len(), &of_device[0]["device_id"]), (1, &json!("nobody")));
    let would = world.quarantine(&["replay", "--dry-run", "--device", &known.device_id]).await.stdout;
    assert!(would.starts_with("would replay 1, not replayable 0"), "{would}");
    let table = world.quarantine(&["list"]).await.stdout;
    assert_eq!(table.lines().count(), 4, "{table}");

    let of = |reason: &str| listed.iter().find(|event| event["reason"] == reason).unwrap()["id"].to_string();
    let page = world.quarantine(&["show", &of("BAD_ENVELOPE")]).await.stdout;
    assert!(page.contains("\\x1b[2J") && !page.contains('\x1b') && !page.contains("tok-secret"), "{page}");
    let page = world.quarantine(&["show", &of("UNREGISTERED_DEVICE")]).await.stdout;
    assert!(page.contains("\n    \"site_id\"") || page.contains("\"site_id\": \"site-1\""), "{page}");
    let shown = world.quarantine_json(&["show", &of("SITE_MISMATCH_REGISTRY_VS_PAYLOAD")]).await;
    assert_eq!((&shown[0]["payload"]["site_id"], &shown[0]["authenticated"]), (&json!("elsewhere"), &json!(true)));

    let stats = world.quarantine_json(&["stats"]).await;
    let counts: Vec<_> = stats.iter().map(|count| (&count["rejected"], &count["stored"], &count["replayed"])).collect();
    assert_eq!(counts, vec![(&json!(1), &json!(1), &json!(0)); 3], "{stats:?}");
    assert_eq!(world.quarantine_json(&["stats", "--tenant", "unknown"]).await.len(), 1);

    let mistaken = world.node().arguments(&["quarantine", "show", "4711"]).run_to_end(DEADLINE).await;
    assert_eq!(mistaken.code, Some(64), "{}", mistaken.stderr);
    let mistaken = world.node().arguments(&["quarantine", "list", "--reason", "SOMETHING"]).run_to_end(DEADLINE).await;
    assert_eq!(mistaken.code, Some(64), "{}", mistaken.stderr);
    drain(node).await;
}

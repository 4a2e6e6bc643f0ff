//! `/actors`: every actor by its own name, the lanes, and what is not known as null.

use std::collections::BTreeSet;

use ingest_kit::envelope::telemetry;
use ingest_kit::seed::{self, Device, catch_all_route};
use ingest_kit::wait_for;
use serde_json::{Value, json};

use super::{shown, shown_by};
use crate::consumer::Configured;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// The list of the tree, top-down.
const TREE: [&str; 14] = [
    "consumer-ingest-commands",
    "consumer-ingest-shadow",
    "consumer-ingest-workers",
    "redelivery",
    "validator-1",
    "validator-0",
    "registry",
    "writer",
    "silence-watcher",
    "state-writer",
    "publisher",
    "router",
    "quarantine-writer",
    "outbox-maintainer",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_actor_and_lane_is_shown_with_what_it_has_done() {
    let world = World::new().await;
    let device = Device::active("acme", "dev-1", "tok-1");
    let stranger = Device { token: Some("wrong".to_owned()), ..device.clone() };
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    // Missing numbers and silence show within seconds.
    let settings = Configured::with(
        "[state]\nflush_interval_secs = 1\nflush_interval_max_secs = 1\nmissing_after_secs = 1\n\
         [state.silence]\nlook_secs = 1\nfactor = 2\nmin_secs = 1\n",
    );
    let (node, shown) = shown_by(settings.node(&world));
    let node = start(node).await;
    world.publish((0..20).map(|seq| telemetry(&device, seq))).await;
    world.publish((20..23).map(|seq| telemetry(&stranger, seq))).await;
    wait_for("all of it to be shown", DEADLINE, async || {
        let snapshot = shown.snapshot().await;
        let batcher = &snapshot["influx"]["batchers"][0];
        snapshot["totals"]["settled"] == 23
            && batcher["lines_ok"] == 20
            && !snapshot["outbox"].is_null()
            && snapshot["rejections"]["tenants"][0]["count"] == 3
            // The broker's figures are a second old.
            && snapshot["lanes"].as_array().expect("lanes").iter().all(|lane| lane["pending"] == 0 && lane["ack_pending"] == 0)
            && snapshot["lanes"][0]["ack_floor"] == 23
            // A batcher's rates are known from its second snapshot on.
            && snapshot["actors"].as_array().expect("a list").iter().all(|actor| actor["in_per_second"].is_number())
    })
    .await;

    let snapshot = shown.snapshot().await;
    let names: Vec<&str> = snapshot["actors"].as_array().expect("a list").iter().map(name).collect();
    let (batchers, tree): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("batcher-"));
    assert_eq!((tree, batchers), (TREE.to_vec(), vec!["batcher-acme"]));
    let roles = snapshot["actors"].as_array().expect("a list").iter().map(|actor| actor["role"].as_str());
    let of_stats = node.stats().await["actors"].clone();
    let of_stats = of_stats.as_object().expect("roles").iter().filter(|(_, of)| of["state"].is_string());
    assert_eq!(roles.collect::<BTreeSet<_>>(), of_stats.map(|(role, _)| Some(role.as_str())).collect());
    for actor in snapshot["actors"].as_array().expect("a list") {
        for key in ["name", "state", "queue", "in", "out", "restarts", "last_exit"] {
            assert!(actor.get(key).is_some(), "no {key} in {actor}");
        }
        assert!(["running", "busy"].map(Value::from).contains(&actor["state"]), "{actor}");
        let expected = (&json!(0), &Value::Null, &json!(1));
        assert_eq!((&actor["restarts"], &actor["last_exit"], &actor["generation"]), expected, "{actor}");
        assert!(actor["thread"].is_string() && actor["in_per_second"].is_number(), "{actor}");
    }
    let validators = [0, 1].map(|number| format!("validator-{number}"));
    let mut handled = 0;
    for name in &validators {
        handled += shown.actor(name).await["out"].as_u64().expect("a count");
    }
    assert!(handled > 0);

    let lane = &snapshot["lanes"][0];
    assert_eq!((&lane["consumer"], &lane["stream"]), (&json!(LANES[0].1), &json!(LANES[0].0)));
    for (figure, expected) in [("received", 23), ("acked", 23), ("in_flight", 0), ("ack_pending", 0), ("ack_floor", 23)]
    {
        assert_eq!(lane[figure], expected, "{figure}: {lane}");
    }
    assert_eq!(lane["lag_seconds"], 0.0);
    let flow = |from: &str, to: &str, what: &str| {
        let flows = snapshot["flows"].as_array().expect("flows");
        let found = flows.iter().find(|flow| flow["from"] == from && flow["to"] == to && flow["what"] == what);
        found.unwrap_or_else(|| panic!("no {from} {to} {what}"))["total"].clone()
    };
    assert_eq!((flow("writer", "postgres", "rows"), flow("router", "influx", "lines")), (json!(20), json!(20)));
    let reason = &snapshot["rejections"]["reasons"][0];
    assert_eq!((&reason["reason"], &reason["last_five_minutes"]), (&json!("TOKEN_INVALID"), &json!(3)));
    assert_eq!(snapshot["rejections"]["tenants"][0]["tenant"], "acme");
    assert_eq!((&snapshot["node"]["state"], &snapshot["node"]["reasons"]), (&json!("ready"), &json!([])));
    assert!(snapshot["conditions"].as_array().expect("a list").iter().all(|of| of["up"] == true));
    assert!(snapshot["postgres_pool"]["max"].as_u64().is_some_and(|max| max > 0));
    wait_for("the next one", DEADLINE, async || shown.snapshot().await["as_of"] != snapshot["as_of"]).await;

    // The device leaves out 23 to 29; the numbers that were rejected are missing, too. Then it falls silent.
    let mut seq = 30;
    wait_for("the missing numbers", DEADLINE, async || {
        world.publish([telemetry(&device, seq)]).await;
        seq += 1;
        shown.snapshot().await["missing_readings"]["devices"][0]["missing"] == 10
    })
    .await;
    wait_for("its silence", DEADLINE, async || shown.snapshot().await["missing_readings"]["tenants"][0]["silent"] == 1)
        .await;
    let missing = shown.snapshot().await["missing_readings"].clone();
    let tenant = &missing["tenants"][0];
    let figures = ["tenant", "missing", "late", "repeats", "resets"].map(|figure| tenant[figure].clone());
    assert_eq!(figures, [json!("acme"), json!(10), json!(0), json!(0), json!(0)], "{missing}");
    assert_eq!(
        (missing["tenants"].as_array().map(Vec::len), missing["devices"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
    for device in [&missing["devices"][0], &missing["silent_devices"][0]] {
        assert_eq!((&device["tenant"], &device["device"]), (&json!("acme"), &json!("dev-1")), "{missing}");
    }
    assert!(missing["devices"][0]["found_seconds_ago"].is_number(), "{missing}");
    assert!(["silent_since", "last_seen_at"].iter().all(|time| missing["silent_devices"][0][*time].is_string()));
    wait_for("the alert of it", DEADLINE, async || {
        let snapshot = shown.snapshot().await;
        let flows = snapshot["flows"].as_array().expect("flows");
        let published = flows.iter().find(|flow| flow["from"] == "silence-watcher" && flow["what"] == "alerts");
        published.is_some_and(|flow| flow["total"].as_u64() >= Some(1))
            && snapshot["missing_readings"]["tenants"][0]["alerts"].as_u64() >= Some(1)
    })
    .await;

    assert_eq!(shown.get_with("/actors", &["X-Admin-Key: wrong"]).await.status, 401);
    assert_eq!(shown.get_with("/actors", &[]).await.status, 401);
    drain(node).await;
}

fn name(actor: &Value) -> &str {
    actor["name"].as_str().expect("a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_actor_shows_its_restart_and_a_stuck_one_that_it_is_stalled() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let [plain, routed] = ["plain", "routed"].map(|tenant| Device::active(tenant, "dev-1", "tok-1"));
    seed::devices(&world.database, &[plain.clone(), routed.clone()]).await;
    seed::routes(&world.database, &[catch_all_route("routed")]).await;
    let (node, shown) = shown(&world);
    let mut node = start(node.env("INGEST_FAILPOINTS", "validator=panic@1;publisher=block@1")).await;
    world.publish([telemetry(&plain, 1)]).await;
    let validators = async || [shown.actor("validator-0").await, shown.actor("validator-1").await];
    wait_for("the restart", DEADLINE, async || {
        validators().await.iter().any(|actor| actor["restarts"] == 1 && actor["last_exit"] == "panicked")
    })
    .await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("the next generation", DEADLINE, async || shown.snapshot().await["node"]["generation"] == 2).await;
    let restarts: Vec<Value> = validators().await.iter().map(|actor| actor["restarts"].clone()).collect();
    assert!(restarts == [json!(0), json!(1)] || restarts == [json!(1), json!(0)], "only who panicked: {restarts:?}");
    assert_eq!(shown.snapshot().await["totals"]["restarts"], 1);

    world.publish([telemetry(&routed, 1)]).await;
    wait_for("the stall", DEADLINE, async || shown.actor("publisher").await["state"] == "stalled").await;
    let snapshot = shown.snapshot().await;
    for actor in snapshot["actors"].as_array().expect("a list") {
        // What shares its thread stands with it, and nobody else does.
        assert_eq!(actor["state"] == "stalled", actor["thread"] == "side", "{actor}");
    }
    assert!(shown.actor("publisher").await["seconds_without_progress"].as_f64() >= Some(5.0));
    node.sigkill();
}

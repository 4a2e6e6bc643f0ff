//! Rejected messages: why, where they are kept, and what sends them through again.

use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Node, wait_for};
use serde_json::json;

use crate::world::{DEADLINE, LANES, World, drain, start};

/// A message with another site than its device's.
fn from_elsewhere(device: &Device, seq: u64) -> Outgoing {
    let mut payload = payload(device, seq);
    payload["site_id"] = json!("else\u{1b}[2Jwhere");
    outgoing(device, "telemetry", "telemetry", &payload)
}

/// Changes a run-time setting, and waits until the node has heard of it.
async fn set(world: &World, node: &Node, key: &str, value: &str) {
    let heard = async || node.log().matches("settings in force").count();
    let before = heard().await;
    seed::app_settings(&world.database, &[(key, value)]).await;
    wait_for("the setting to be in force", DEADLINE, async || heard().await > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_message_is_told_with_what_sends_it_through_again() {
    let world = World::new().await;
    let [one, other] = [0, 1].map(|number| device(number, 1));
    seed::devices(&world.database, &[one.clone(), other.clone()]).await;
    let node = start(world.node().env("INGEST_FAILPOINTS", "open=panic@1")).await;
    let crashes = world.publish([telemetry(&one, 1)]).await[0];
    world.wait_settled(LANES[0], DEADLINE).await;
    let mut guessed = payload(&one, 3);
    guessed["provision_token"] = json!("tok-guessed");
    let guessed = outgoing(&one, "telemetry", "telemetry", &guessed);
    let bytes = Outgoing::new("telemetry.tenant-0", &b"{\"provision_token\":\"tok-secret-0\" \x1b[2J\xff"[..]);
    let seqs = world.publish([from_elsewhere(&one, 2), guessed, bytes]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let at = async |seq: u64| world.explain_at("TELEMETRY", seq).await;

    let terminated = at(crashes).await;
    terminated.assert("terminated", 0, &["PROCESSING_FAILED", "it never comes again by itself"]);
    let site = at(seqs[0]).await;
    site.assert("quarantined", 0, &["SITE_MISMATCH", "it would be rejected now with SITE_MISMATCH"]);
    site.assert_step("checks", "it would be rejected now: SITE_MISMATCH");
    let strange = at(seqs[1]).await;
    strange.assert("quarantined", 0, &["TOKEN_INVALID", "if you vouch for its sender", " --trust`"]);
    strange.assert_step("postgresql", "its sender had not proven who it is");
    let unreadable = at(seqs[2]).await;
    unreadable.assert("quarantined", 0, &["BAD_ENVELOPE", "kept as bytes"]);
    for told in [&terminated, &site, &strange, &unreadable] {
        let told = format!("{told:?}");
        assert!(!told.contains("tok-") && !told.contains("\\u{1b}[2J\""), "{told}");
    }

    // The cause is gone: the sentence holds the command, and the command works.
    world
        .database
        .execute(r"UPDATE device_registry SET site_id = E'else\x1b[2Jwhere' WHERE device_id = 'dev-0000'")
        .await;
    let (sentence, lines) = world.explain_as_text(&["--stream", "TELEMETRY", "--seq", &seqs[0].to_string()]).await;
    assert!(!lines.concat().contains('\u{1b}') && lines.len() >= 4, "{lines:#?}");
    let (_, command) = sentence.split_once("it would pass now: `ingest-node ").expect("a command");
    let arguments: Vec<&str> = command.trim_end_matches("`.").split(' ').collect();
    wait_for("the node to know the new site", DEADLINE, async || {
        let replayed = world.node().arguments(&[&arguments[..], &["--again"]].concat()).run_to_end(DEADLINE).await;
        assert_eq!((replayed.code, replayed.stdout.trim()), (Some(0), "replayed 1, not replayable 0"));
        world.wait_settled(LANES[0], DEADLINE).await;
        world.database.count("raw_events").await == 1
    })
    .await;
    let reprocessed = at(seqs[0]).await;
    reprocessed.assert("reprocessed", 0, &["rejected first with SITE_MISMATCH", "sent through again, and stored at "]);
    reprocessed.assert_step("postgresql", "was sent through again, ");
    // The copy in the stream stands for the original.
    let copy = at(seqs[2] + 1).await;
    copy.assert("reprocessed", 0, &[&format!("Message {} of TELEMETRY", seqs[0])]);
    copy.assert_step("stream", "sent through again");
    let id: i64 =
        world.database.query("SELECT id FROM quarantine_events WHERE reason LIKE 'SITE%'", &[]).await[0].get(0);
    world.explain(&["--event", &id.to_string()]).await.assert("reprocessed", 0, &["stored at "]);
    world.explain(&["--event", "4711"]).await.assert("no_trace", 1, &["Quarantine event 4711", "no event of this id"]);

    // What is only counted, and what is mirrored.
    set(&world, &node, "STORE_REJECTS", "0").await;
    let uncounted = world.publish([from_elsewhere(&other, 4)]).await[0];
    world.wait_settled(LANES[0], DEADLINE).await;
    let only_counted = at(uncounted).await;
    only_counted.assert(
        "counted",
        0,
        &["settled and not kept", "SITE_MISMATCH", "it would be rejected now with SITE_"],
    );
    only_counted.assert_step("postgresql", "rejections of tenant-0 were counted and not kept: SITE_MISMATCH");
    set(&world, &node, "MIRROR_REJECTS_TO_RAW", "1").await;
    let mirrored = world.publish([from_elsewhere(&other, 5)]).await[0];
    world.wait_settled(LANES[0], DEADLINE).await;
    at(mirrored).await.assert("mirrored", 0, &["mirrored to raw_events as not accepted"]);
    drain(node).await;
}

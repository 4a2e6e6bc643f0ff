//! Gaps, repeats and resets in the numbers of a device's messages, through crashes and redeliveries.

use ingest_kit::{envelope, seed, wait_for};

use super::{quickly, readings, record};
use crate::consumer::Configured;
use crate::world::{DEADLINE, LANES, World, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_are_counted_filled_and_never_made_by_a_crash_of_the_node() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let device = envelope::device(1, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    // Its writer panics after the first commit, and it is killed before it has ever flushed what it heard.
    let never = Configured::with("[state]\nflush_interval_secs = 3600\nflush_interval_max_secs = 3600\n");
    let mut node = start(never.node(&world).env("INGEST_FAILPOINTS", "writer-committed=panic@1")).await;
    world.publish(readings(&device, 1..=20)).await;
    wait_for("the panic", DEADLINE, async || {
        node.metrics().await.count("ingest_actor_restarts_total", &[("actor", "writer")]) == 1
    })
    .await;
    world.publish(readings(&device, 21..=40)).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    node.sigkill();

    let settings = quickly("");
    let node = start(settings.node(&world)).await;
    wait_for("the rows of the killed node", DEADLINE, async || {
        record(&world, &device).await == Some(([40, 0, 0, 0, 0], vec![]))
    })
    .await;
    world.publish(readings(&device, [41, 44])).await;
    wait_for("the gap", DEADLINE, async || record(&world, &device).await == Some(([44, 0, 0, 0, 0], vec![42, 43])))
        .await;
    // What is missing is counted with the messages after it.
    let mut seq = 44;
    wait_for("the gap to be counted", DEADLINE, async || {
        seq += 1;
        world.publish(readings(&device, [seq])).await;
        record(&world, &device).await.is_some_and(|(numbers, _)| numbers[1] == 2)
    })
    .await;
    world.publish(readings(&device, [43, seq])).await;
    let expected = Some(([seq as i64, 1, 1, 1, 0], vec![42, 42]));
    wait_for("what came late and what came twice", DEADLINE, async || record(&world, &device).await == expected).await;
    let explained = world.explain(&["--tenant", &device.tenant_id, "--device", &device.device_id]).await;
    let said =
        format!("device_gaps: of its numbers up to {seq} 1 are counted as missing (42); 1 came late; 1 came again");
    explained.assert_step("postgresql", &said);
    world.publish(readings(&device, [1, 2])).await;
    let expected = Some(([2, 1, 1, 1, 1], vec![]));
    wait_for("the reset", DEADLINE, async || record(&world, &device).await == expected).await;

    // The node counts once PostgreSQL has answered.
    let counted = async || {
        let metrics = node.metrics().await;
        let of = |name: &str| metrics.get(&format!("ingest_{name}_total"), &[("tenant", &device.tenant_id)]);
        ["readings_missing", "readings_late", "readings_repeated", "device_seq_resets"].map(of)
    };
    wait_for("the same in figures", DEADLINE, async || counted().await == [2.0, 1.0, 1.0, 1.0].map(Some)).await;
}

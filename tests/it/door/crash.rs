//! A message that crashes a rule.

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed;

use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_crashes_a_rule_is_quarantined_at_once_and_the_others_go_on() {
    const MESSAGES: u64 = 200;
    let world = World::new().await;
    seed::devices(&world.database, &[device(0, 1)]).await;
    let node = start(world.node().env("INGEST_FAILPOINTS", "open=panic@20;check=panic@90;record=panic@1")).await;
    world.publish((0..MESSAGES).map(|seq| telemetry(&device(0, 1), seq))).await;
    world.publish([Outgoing::new("telemetry.tenant-0", "no envelope, provision_token=tok-secret-0")]).await;
    world.wait_settled(LANES[0], DEADLINE).await;

    // A message that crashed while its device was looked up is validated again, and crashes no second time here.
    let rows = world.database.count("raw_events").await;
    let failed = world.database.count("quarantine_events WHERE reason = 'PROCESSING_FAILED'").await;
    assert_eq!(rows + failed, MESSAGES);
    assert!((1..=2).contains(&failed), "{failed}");
    assert_eq!(world.database.count("quarantine_events WHERE reason = 'BAD_ENVELOPE'").await, 1);
    assert_eq!(world.database.occurrences_of("tok-secret").await, []);
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", node.log());
    assert_eq!(metrics.count("ingest_deliveries_received_total", &[("consumer", LANES[0].1)]), MESSAGES + 1);
    drain(node).await;
}

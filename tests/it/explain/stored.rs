//! Rows, and where their points are.

use ingest_kit::envelope::{device, outgoing, payload, telemetry};
use ingest_kit::{seed, wait_for};

use crate::workload::database;
use crate::world::{DEADLINE, LANES, World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_told_with_what_became_of_its_point() {
    let world = World::new().await;
    let [good, refused, owed] = [0, 1, 2].map(|number| device(number, 3));
    seed::devices(&world.database, &[good.clone(), refused.clone(), owed.clone()]).await;
    world.influx.refuse_lines("dev-0001", "no such thing");
    world.influx.hang(Some(&database(&owed.tenant_id)));
    let node = world.start_node().await;
    let alarm = outgoing(&good, "telemetry", "alarm", &payload(&good, 2));
    // The sender's number twice: a device that began again.
    let messages = [telemetry(&good, 1), alarm, telemetry(&refused, 3), telemetry(&owed, 4), telemetry(&good, 1)];
    let seqs = world.publish(messages).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    wait_for("the refused point", DEADLINE, async || world.database.count("quarantine_events").await == 1).await;
    wait_for("what is confirmed", DEADLINE, async || world.database.count("influx_outbox").await == 1).await;
    let at = async |place: usize| world.explain_at("TELEMETRY", seqs[place]).await;

    let stored = at(0).await;
    stored.assert("stored", 0, &["stored at ", "its point is in InfluxDB"]);
    stored.assert_step("stream", "TELEMETRY took message 1 on telemetry.tenant-0.dev-0000");
    stored.assert_step("consumer", "ingest-workers has settled it");
    stored.assert_step("registry", "device dev-0000 of tenant-0 is ACTIVE at site site-1, has a token");
    at(1).await.assert("stored_without_point", 0, &["messages of its type make no point"]);
    let of_point = at(2).await;
    of_point.assert("point_refused", 0, &["InfluxDB has refused its point: POINT_REFUSED", "no such thing"]);
    of_point.assert_step("postgresql", "can't simply be sent through again: InfluxDB refused the point");
    let point_owed = at(3).await;
    point_owed.assert("point_owed", 0, &["its point is owed to InfluxDB: outbox entry "]);
    point_owed.assert_step("outbox", "covers its point, 1 points in all");

    // By the device: its newest message; by its number: that of the newest, with the others beside it.
    let (tenant, id) = (good.tenant_id.as_str(), good.device_id.as_str());
    let newest = world.explain(&["--tenant", tenant, "--device", id]).await;
    newest.assert("stored", 0, &["Message 5 of TELEMETRY: stored at "]);
    let by_number = world.explain(&["--tenant", tenant, "--device", id, "--seq", "1", "--since", "1h"]).await;
    by_number.assert("stored", 0, &["Message 5 of TELEMETRY"]);
    by_number.assert_step("postgresql", "also message 1 of TELEMETRY");
    world.explain(&["--tenant", tenant, "--device", id, "--seq", "77"]).await.assert(
        "no_trace",
        1,
        &["seq 77: no trace"],
    );
    let unknown = world.explain(&["--tenant", tenant, "--device", "nobody"]).await;
    unknown.assert("no_trace", 1, &["the device is not registered"]);
    unknown.assert_step("registry", "other devices of its tenant are");

    // The server answers again: the outbox is empty, and a backfill may come by.
    world.influx.release();
    wait_for("the owed point", DEADLINE, async || world.database.count("influx_outbox").await == 0).await;
    at(3).await.assert("stored", 0, &["its point is in InfluxDB"]);
    let backfill = world.node().arguments(&["backfill", "--from", "2020-01-01", "--tenant", tenant]);
    assert_eq!(backfill.run_to_end(DEADLINE).await.code, Some(0));
    let again = at(0).await;
    again.assert("stored", 0, &["where a backfill has written it again"]);
    again.assert_step("outbox", "has written its point again");
    drain(node).await;

    // Its consumer is made again: everything comes again, and the row is there.
    world.jetstream.delete_consumer_from_stream("ingest-workers", "TELEMETRY").await.expect("a deleted consumer");
    world.create_quickly_redelivering_consumers().await;
    at(0).await.assert("stored_not_settled", 0, &["its row is there and nothing is doubled"]);
    // The stream itself is made again: the number is another message's, or nobody's.
    world.jetstream.delete_stream("TELEMETRY").await.expect("a deleted stream");
    at(0).await.assert("stored", 0, &["Message 1 of TELEMETRY: stored at "]);
    world.create_quickly_redelivering_consumers().await;
    let former = at(0).await;
    former.assert("stored", 0, &["today's stream of that name was made later"]);
    world.publish([telemetry(&good, 9)]).await;
    let other = at(0).await;
    other.assert("waiting", 0, &["behind 0 messages", "it would pass now"]);
    other.assert_step("postgresql", "a message of the same number, which a former stream received at ");
}

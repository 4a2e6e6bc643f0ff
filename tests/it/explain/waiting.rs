//! What is not settled, and what is no longer, or not yet, in its stream.

use async_nats::jetstream::{consumer, stream};
use futures_util::StreamExt;
use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed;

use super::explain_by;
use crate::world::{World, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_settled_is_told_with_what_is_before_it() {
    let world = World::new().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    ingest_kit::jetstream::create_streams(&world.jetstream).await;
    world.publish((0..8).map(|seq| telemetry(&device, seq))).await;
    let at = async |seq: u64| world.explain_at("TELEMETRY", seq).await;

    at(1).await.assert("waiting", 0, &["for a node: its consumer is not made yet", "it would pass now"]);
    world.create_quickly_redelivering_consumers().await;
    at(8).await.assert("waiting", 0, &["behind 7 messages"]);
    let by_number = world.explain(&["--tenant", "tenant-0", "--device", "dev-0000", "--seq", "6"]).await;
    by_number.assert("waiting", 0, &["Message 7 of TELEMETRY", "behind 6 messages"]);
    at(9).await.assert("not_yet", 1, &["its stream ends earlier"]);
    let nats_alone = explain_by(
        world.node().env("DATABASE_URL", "postgres://u:secret-word@127.0.0.1:1/d"),
        &["--stream", "TELEMETRY", "--seq", "8"],
    )
    .await;
    nats_alone.assert("waiting", 69, &["behind 7 messages", "not everybody could be asked"]);
    nats_alone.assert_step("postgresql", "unknown: ");
    assert!(!format!("{nats_alone:?}").contains("secret-word"), "{nats_alone:?}");

    // Somebody has them and does not settle them.
    let stream = world.jetstream.get_stream("TELEMETRY").await.expect("the stream");
    let workers: consumer::PullConsumer = stream.get_consumer("ingest-workers").await.expect("the consumer");
    let mut taken = workers.fetch().max_messages(4).messages().await.expect("messages");
    let mut open = Vec::new();
    while let Some(message) = taken.next().await {
        open.push(message.expect("a message"));
    }
    let delivered = at(2).await;
    delivered.assert("delivered", 0, &["delivered and not settled yet", "it would pass now"]);
    delivered.assert_step("consumer", "4 are open");
    // Settled by somebody who stored nothing.
    for message in &open {
        message.double_ack().await.expect("an acknowledgement");
    }
    at(2).await.assert("settled_without_trace", 0, &["neither a row nor a quarantine event"]);
    at(8).await.assert("waiting", 0, &["behind 3 messages"]);

    stream.delete_message(3).await.expect("a deleted message");
    at(3).await.assert("removed", 1, &["removed from its stream"]);
    stream.purge().sequence(3).await.expect("a purge");
    let expired = at(1).await;
    expired.assert("expired", 1, &["no longer in its stream"]);
    expired.assert_step("stream", "TELEMETRY begins at 4");

    let config = stream::Config { name: "OTHER".into(), subjects: vec!["other.>".into()], ..Default::default() };
    world.jetstream.create_stream(config).await.expect("a stream");
    world.publish([Outgoing::new("other.a", "{}")]).await;
    world.explain_at("OTHER", 1).await.assert("not_ours", 0, &["it reads no stream of this name"]);
    world.explain_at("NO.SUCH\u{1b}>", 1).await.assert("no_stream", 1, &["NO.SUCH\\u{1b}>", "no such stream"]);

    let node = world.start_node().await;
    world.wait_settled(crate::world::LANES[0], crate::world::DEADLINE).await;
    let after = at(8).await;
    assert!(["stored", "point_owed"].contains(&&*after.fate), "{after:?}");
    drain(node).await;
}

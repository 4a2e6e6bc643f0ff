//! Streams, consumers, permissions and accounts.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use futures_util::StreamExt;
use ingest_kit::jetstream::Outgoing;
use ingest_kit::{Nats, NodeBuilder};

use super::doctor;
use crate::world::{World, node};

/// A node of which only what is said about NATS is looked at.
fn on(url: String) -> NodeBuilder {
    let away = "postgres://127.0.0.1:9/none";
    node().env("NATS_URL", url).env("DATABASE_URL", away).env("INFLUXDB_WRITE_ENABLED", 0)
}

async fn make_careless(nats: &Nats) {
    let jetstream = nats.jetstream().await;
    let stream = |name: &str, subject: &str| Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        ..Config::default()
    };
    for config in [
        Config {
            max_age: Duration::from_secs(3_600),
            max_messages_per_subject: 10,
            storage: StorageType::Memory,
            retention: RetentionPolicy::Interest,
            no_ack: true,
            ..stream("TELEMETRY", "telemetry.acme")
        },
        stream("SHADOW", "shadow.>"),
        stream("COMMANDS", "commands.>"),
        Config {
            max_age: Duration::from_secs(3_600),
            max_bytes: 1_000_000,
            discard: DiscardPolicy::Old,
            max_message_size: 1_000,
            duplicate_window: Duration::from_secs(1),
            storage: StorageType::Memory,
            ..stream("ROUTES", "routes.>")
        },
        Config { no_ack: true, ..stream("ALERTS", "alerts.acme") },
    ] {
        jetstream.create_stream(config).await.expect("a stream");
    }
    let consumer = |name: &str| pull::Config {
        durable_name: Some(name.to_owned()),
        max_ack_pending: 60_000,
        ack_wait: Duration::from_secs(30),
        ..Default::default()
    };
    for (stream, config) in [
        (
            "TELEMETRY",
            pull::Config {
                ack_wait: Duration::from_secs(1),
                max_ack_pending: 100,
                max_deliver: 3,
                filter_subject: "telemetry.acme".to_owned(),
                deliver_policy: DeliverPolicy::New,
                replay_policy: ReplayPolicy::Original,
                inactive_threshold: Duration::from_secs(600),
                max_batch: 7,
                max_expires: Duration::from_secs(5),
                max_waiting: 1,
                memory_storage: true,
                ..consumer("ingest-workers")
            },
        ),
        ("SHADOW", pull::Config { max_ack_pending: 1, ..consumer("ingest-shadow") }),
        ("COMMANDS", pull::Config { ack_policy: AckPolicy::None, ..consumer("ingest-commands") }),
    ] {
        jetstream.create_consumer_on_stream(config, stream).await.expect("a consumer");
    }
    ingest_kit::jetstream::publish_all(&jetstream, [Outgoing::new("shadow.acme", "{}")]).await;
    let shadow = jetstream.get_consumer_from_stream::<pull::Config, _, _>("ingest-shadow", "SHADOW").await.expect("it");
    let mut messages = shadow.fetch().max_messages(1).messages().await.expect("messages");
    assert!(messages.next().await.is_some(), "one is out and not acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn careless_streams_and_consumers_are_named() {
    let nats = Nats::start();
    make_careless(&nats).await;
    let report = doctor(on(nats.url())).await;
    report.assert_names(&[
        ("WARN", "stream TELEMETRY", "its subjects are telemetry.acme"),
        ("WARN", "stream TELEMETRY", "max_age is 3600s"),
        ("WARN", "stream TELEMETRY", "max_msgs_per_subject is 10"),
        ("WARN", "stream TELEMETRY", "its storage is memory"),
        ("WARN", "stream TELEMETRY", "retention is interest"),
        ("WARN", "stream TELEMETRY", "no_ack is set"),
        ("WARN", "stream ROUTES", "discard is old"),
        ("WARN", "stream ROUTES", "max_age is 3600s"),
        ("WARN", "stream ROUTES", "max_msg_size is 1000"),
        ("WARN", "stream ROUTES", "duplicate_window is 1s"),
        ("WARN", "stream ROUTES", "its storage is memory"),
        ("WARN", "stream ALERTS", "its subjects are alerts.acme"),
        ("WARN", "stream ALERTS", "no_ack is set"),
        ("WARN", "consumer ingest-workers", "ack_wait is 1s"),
        ("WARN", "consumer ingest-workers", "max_ack_pending is 100"),
        ("WARN", "consumer ingest-workers", "max_deliver is 3"),
        ("WARN", "consumer ingest-workers", "filter_subject is telemetry.acme"),
        ("WARN", "consumer ingest-workers", "deliver_policy is new"),
        ("WARN", "consumer ingest-workers", "replay_policy is original"),
        ("WARN", "consumer ingest-workers", "inactive_threshold is 600s"),
        ("WARN", "consumer ingest-workers", "max_batch is 7"),
        ("WARN", "consumer ingest-workers", "max_expires is 5s"),
        ("WARN", "consumer ingest-workers", "max_waiting is 1"),
        ("WARN", "consumer ingest-workers", "mem_storage is set"),
        ("WARN", "consumer ingest-shadow", "all 1 messages of max_ack_pending are out"),
        ("ERR", "consumer ingest-commands", "ack policy none, not explicit"),
    ]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_permitted_is_found_by_trying() {
    let config = r#"
        authorization { users = [
            { user: admin, password: admin }
            { user: node, password: secret, permissions: { publish: { deny: [
                "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.>", "$JS.ACK.SHADOW.>", "routes.>", "$JS.API.STREAM.CREATE.*",
                "$JS.API.CONSUMER.CREATE.>", "$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.INFO.COMMANDS"
            ] } } }
            { user: deaf, password: secret, permissions: { subscribe: { deny: "_INBOX.>" } } }
        ] }
        no_auth_user: admin
        "#;
    let world = World::with_nats(Nats::start_configured(config)).await;
    world.create_quickly_redelivering_consumers().await;
    let about = "nats permissions";
    let report = doctor(on(world.nats.url_of("node", "secret"))).await;
    report.assert_names(&[
        ("ERR", about, "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.ingest-workers is denied"),
        ("ERR", about, "$JS.ACK.SHADOW.ingest-shadow.> is denied"),
        ("ERR", about, "routes.> is denied"),
        ("ERR", about, "$JS.API.STREAM.INFO.COMMANDS is denied"),
        ("WARN", about, "$JS.API.STREAM.CREATE.TELEMETRY is denied"),
        ("WARN", about, "$JS.API.CONSUMER.CREATE.SHADOW.ingest-shadow is denied"),
        ("WARN", about, "$JS.API.STREAM.MSG.GET.TELEMETRY is denied"),
        ("ERR", "stream COMMANDS", "JetStream does not answer in time"),
    ]);
    assert!(!report.found.iter().any(|one| one.found.contains("$JS.ACK.TELEMETRY")), "{:#?}", report.found);

    let report = doctor(on(world.nats.url_of("deaf", "secret"))).await;
    report.assert_names(&[("ERR", about, "subscribing to _INBOX.> is denied")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_and_may_not_be_made_is_an_error() {
    let nats = Nats::start();
    let report = doctor(on(nats.url()).env("NATS_CREATE", 0)).await;
    report.assert_names(&[
        ("ERR", "stream TELEMETRY", "missing"),
        ("ERR", "stream ROUTES", "missing"),
        ("WARN", "stream ALERTS", "missing, and NATS_CREATE is off: nobody is told"),
        ("ERR", "consumer ingest-shadow", "missing"),
    ]);
    let report = doctor(on(nats.url()).env("NATS_CREATE", 0).env("DEVICE_SILENCE", 0)).await;
    assert!(report.wrong("stream ALERTS").is_empty(), "{:#?}", report.found);
    let report = doctor(on(nats.url())).await;
    assert!(report.wrong("stream").is_empty() && report.wrong("consumer").is_empty(), "`run` makes them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_jetstream_or_with_little_of_it_is_named() {
    let config = r#"
        accounts: {
            WITH: { jetstream: enabled, users: [ { user: admin, password: admin } ] }
            WITHOUT: { users: [ { user: node, password: secret } ] }
            LITTLE: { jetstream: { max_file: 1048576, max_streams: 2 }, users: [ { user: little, password: secret } ] }
        }
        no_auth_user: admin
        "#;
    let nats = Nats::start_configured(config);
    let report = doctor(on(nats.url_of("node", "secret"))).await;
    report.assert_names(&[("ERR", "nats jetstream", "the account has no JetStream")]);
    let report = doctor(on(nats.url_of("little", "secret"))).await;
    report.assert_names(&[("WARN", "nats jetstream", "the account may have 2 streams")]);
}

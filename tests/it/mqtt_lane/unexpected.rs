//! Streams and consumers that are missing, or not what the server makes.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, RetentionPolicy};

use super::{LANE, node};
use crate::consumer::wait_ready_shows;
use crate::doctor::doctor;
use crate::world::{World, drain};

fn stream(retention: RetentionPolicy) -> Config {
    Config { name: LANE.0.to_owned(), subjects: vec!["$MQTT.msgs.>".to_owned()], retention, ..Config::default() }
}

fn consumer(filter: &str) -> pull::Config {
    pull::Config { durable_name: Some(LANE.1.to_owned()), filter_subject: filter.to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_or_consumer_that_is_not_as_it_should_be_is_refused_and_named() {
    let world = World::new().await;
    world.create_consumers(Duration::from_secs(30), 60_000).await;
    world.jetstream.create_stream(stream(RetentionPolicy::Limits)).await.expect("a stream");
    let node = node(&world).env("NATS_CREATE", 0).start();
    let shows = async |reason: &str| wait_ready_shows(&node, 503, reason).await;
    let names = async |about: &str, found: &str| {
        doctor(super::node(&world).env("NATS_CREATE", 0)).await.assert_names(&[("ERR", about, found)]);
    };

    shows("ingest-mqtt: stream $MQTT_msgs has the retention limits, not interest").await;
    names("stream $MQTT_msgs", "has the retention limits, not interest").await;

    world.jetstream.delete_stream(LANE.0).await.expect("it is deleted");
    world.jetstream.create_stream(stream(RetentionPolicy::Interest)).await.expect("a stream");
    shows("consumer ingest-mqtt of stream $MQTT_msgs is missing, and NATS_CREATE is off").await;

    world.jetstream.create_consumer_on_stream(consumer("$MQTT.msgs.tenant.acme.>"), LANE.0).await.expect("a consumer");
    shows("consumer ingest-mqtt has the filter $MQTT.msgs.tenant.acme.>, not").await;
    names("consumer ingest-mqtt", "has the filter $MQTT.msgs.tenant.acme.>").await;

    let mqtt = world.jetstream.get_stream(LANE.0).await.expect("the stream");
    mqtt.delete_consumer(LANE.1).await.expect("it is deleted");
    world.jetstream.create_consumer_on_stream(consumer("$MQTT.msgs.>"), LANE.0).await.expect("a consumer");
    wait_ready_shows(&node, 200, "\"ready\"").await;
    drain(node).await;
}

//! NATS is down, permits something no longer, or has lost a consumer or a stream.

use ingest_kit::{Nats, wait_for};

use super::outage::{Lag, MESSAGES, Moves, Outage, QUIET, Scene, WORKERS};
use crate::consumer::permissions::config;
use crate::world::{DEADLINE, LANES, World};

const TELEMETRY: &[&str] = &["ingest-workers"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_down() {
    const OUTAGE: Outage = Outage {
        name: "NATS is down",
        reasons: &["nats: ", "ingest-workers: ", "ingest-shadow: ", "ingest-commands: "],
        down: &["nats", "ingest-workers", "ingest-shadow", "ingest-commands"],
        lag: Lag::Unknown,
        metrics: &[("ingest_consumer_info_age_seconds", WORKERS, Moves::Up)],
        log: "nats disconnected",
        publishes: false,
        ..QUIET
    };
    let world = World::new().await;
    let node = world.node();
    let make = async |scene: &mut Scene| scene.world.nats.stop();
    let end = async |scene: &mut Scene| scene.world.nats.start_again();
    Scene::new(world, node).await.goes_through(&OUTAGE, make, end).await;
}

const EVERYTHING: &str = r#"publish: ">", subscribe: ">""#;

async fn goes_through_denial(outage: &Outage, denied: &str) {
    let world = World::with_nats(Nats::start_configured(&config(EVERYTHING))).await;
    world.create_quickly_redelivering_consumers().await;
    let node = world.node().env("NATS_URL", world.nats.url_of("node", "secret"));
    let make = async |scene: &mut Scene| {
        // A server that is stopped may forget acknowledgements that it has not written down, and deliver those messages again.
        let is_saved = || scene.world.nats.saved_ack_floor(LANES[0].0, LANES[0].1) == Some(MESSAGES as u64);
        wait_for("the server to have written the acknowledgements", DEADLINE, async || is_saved()).await;
        scene.world.nats.restart_configured(&config(denied));
    };
    let end = async |scene: &mut Scene| scene.world.nats.restart_configured(&config(EVERYTHING));
    Scene::new(world, node).await.goes_through(outage, make, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_permits_no_pull() {
    const OUTAGE: Outage = Outage {
        name: "no permission to pull",
        reasons: &[r#"ingest-workers: Permissions Violation for Publish to "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY"#],
        down: TELEMETRY,
        metrics: &[
            ("ingest_nats_permission_violations_total", &[("operation", "pull")], Moves::Up),
            ("ingest_consumer_pending", WORKERS, Moves::Is(20.0)),
        ],
        log: "nats does not permit",
        ..QUIET
    };
    goes_through_denial(&OUTAGE, r#"publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.>" }"#).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_permits_no_acknowledgement() {
    const OUTAGE: Outage = Outage {
        name: "no permission to acknowledge",
        reasons: &[r#"ingest-workers: Permissions Violation for Publish to "$JS.ACK.TELEMETRY"#],
        down: TELEMETRY,
        metrics: &[
            ("ingest_nats_permission_violations_total", &[("operation", "ack")], Moves::Up),
            ("ingest_consumer_ack_pending", WORKERS, Moves::Is(20.0)),
        ],
        log: "nats does not permit",
        ..QUIET
    };
    goes_through_denial(&OUTAGE, r#"publish: { deny: "$JS.ACK.TELEMETRY.>" }"#).await;
}

/// The node makes it again: an outage of two seconds that is in the log and in the figures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_is_deleted() {
    const OUTAGE: Outage = Outage {
        name: "a consumer is deleted",
        lag: Lag::None,
        metrics: &[
            ("ingest_consumers_created_total", &[], Moves::Is(4.0)),
            ("ingest_postgres_duplicates_suppressed_total", &[], Moves::Is(20.0)),
            ("ingest_postgres_rows_total", &[], Moves::Is(40.0)),
        ],
        log: "consumer was missing and has been created",
        ..QUIET
    };
    let world = World::new().await;
    let node = world.node();
    let make = async |scene: &mut Scene| {
        let stream = scene.world.jetstream.get_stream(LANES[0].0).await.expect("the stream");
        stream.delete_consumer(LANES[0].1).await.expect("the consumer is deleted");
    };
    Scene::new(world, node).await.goes_through(&OUTAGE, make, async |_| {}).await;
}

/// Where the node may not make it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_deleted() {
    const OUTAGE: Outage = Outage {
        name: "a stream is deleted",
        reasons: &["ingest-workers: stream TELEMETRY is missing, and NATS_CREATE is off"],
        down: TELEMETRY,
        lag: Lag::Unknown,
        metrics: &[("ingest_consumer_info_age_seconds", WORKERS, Moves::Up)],
        log: "stream TELEMETRY is missing, and NATS_CREATE is off",
        publishes: false,
        ..QUIET
    };
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let node = world.node().env("NATS_CREATE", 0);
    let make = async |scene: &mut Scene| {
        scene.world.jetstream.delete_stream(LANES[0].0).await.expect("the stream is deleted");
    };
    let end = async |scene: &mut Scene| scene.world.create_quickly_redelivering_consumers().await;
    Scene::new(world, node).await.goes_through(&OUTAGE, make, end).await;
}

/// Whether the server can pause consumers, as 2.11 and later can.
async fn can_pause(world: &World) -> bool {
    let version = world.nats.connect().await.server_info().version;
    let mut parts = version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(2), Some(11))
}

/// Resumes a paused consumer.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Pauses the lane's consumer.
async fn pause(world: &World, until: &str) -> Result<(), String> {
    let subject = format!("CONSUMER.PAUSE.{}.{}", LANES[0].0, LANES[0].1);
    let request = serde_json::json!({ "pause_until": until });
    let answer: serde_json::Value =
        world.jetstream.request(subject, &request).await.map_err(|error| error.to_string())?;
    answer.get("error").map_or(Ok(()), |error| Err(error.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_is_paused() {
    const OUTAGE: Outage = Outage {
        name: "a consumer is paused",
        notes: &["ingest-workers: it is paused: nothing is delivered until it is resumed"],
        metrics: &[
            ("ingest_consumer_pending", WORKERS, Moves::Is(20.0)),
            ("ingest_deliveries_received_total", WORKERS, Moves::Is(20.0)),
        ],
        log: "it is paused",
        ..QUIET
    };
    let world = World::new().await;
    if !can_pause(&world).await {
        // What the node makes of `paused` is left to its unit tests then.
        assert!(pause(&world, NEVER).await.is_err(), "a server that knows no pause");
        return;
    }
    let node = world.node();
    let make = async |scene: &mut Scene| pause(&scene.world, "2100-01-01T00:00:00Z").await.expect("a pause");
    let end = async |scene: &mut Scene| pause(&scene.world, NEVER).await.expect("no pause");
    Scene::new(world, node).await.goes_through(&OUTAGE, make, end).await;
}

//! Two nodes at once on the same consumers: what the platform sees is one node, only faster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::seed::{self, Device, Route, Subscription};
use ingest_kit::{Node, NodeBuilder, wait_for};
use serde_json::{Map, Value};

use crate::ledger::assert_balanced;
use crate::traffic::Traffic;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A change in PostgreSQL must be in force everywhere so soon after the nodes were told.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(1);

/// Two replicas: nothing is configured per replica.
struct Replicas([Node; 2]);

impl Replicas {
    async fn start(node: NodeBuilder) -> Self {
        Self([start(node.clone()).await, start(node).await])
    }

    /// A counter of each.
    async fn each(&self, name: &str, labels: &[(&str, &str)]) -> [u64; 2] {
        let [first, second] = &self.0;
        [first.metrics().await.count(name, labels), second.metrics().await.count(name, labels)]
    }

    /// A counter of both together.
    async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.each(name, labels).await.iter().sum()
    }

    /// Both are in balance, did what they did without a restart, and leave in order.
    async fn finish(self) {
        for node in self.0 {
            let metrics = node.metrics().await;
            assert_balanced(&metrics);
            assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", node.log());
            drain(node).await;
        }
    }
}

/// Changes something that both are told, as `change` does; the moment at which they had been, by [`now`].
async fn told(world: &World, replicas: &Replicas, change: impl AsyncFnOnce()) -> String {
    let heard = async || replicas.each("ingest_registry_invalidations_total", &[]).await;
    let before = heard().await;
    change().await;
    wait_for("both replicas to be told", DEADLINE, async || {
        heard().await.iter().zip(before).all(|(heard, before)| *heard > before)
    })
    .await;
    now(world).await
}

/// PostgreSQL's clock, which is the broker's too: both run on this machine.
async fn now(world: &World) -> String {
    world.database.query("SELECT clock_timestamp()::text", &[]).await[0].get(0)
}

/// Waits until what was changed at `since` must be in force, and has been for a while.
async fn wait_well_in_force(since: Instant) {
    let enough = 3 * IN_FORCE_WITHIN;
    wait_for("the change to be long in force", DEADLINE, async || since.elapsed() > enough).await;
}

/// Rows of a device that the broker took at most, or at least, so long after a time.
fn rows(device: &Device, received: &str, since: &str) -> String {
    let (tenant, id) = (&device.tenant_id, &device.device_id);
    format!(
        "raw_events WHERE tenant_id = '{tenant}' AND device_id = '{id}' AND received_at {received} timestamptz '{since}' \
         + interval '{} ms'",
        IN_FORCE_WITHIN.as_millis()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_the_work_and_every_message_has_its_effect_once() {
    let world = World::new().await;
    let load = Workload::with_bad(10_000, 50);
    load.seed(&world).await;
    let replicas = Replicas::start(world.node()).await;
    world.publish(load.messages.clone()).await;
    world.wait_settled(LANES[0], Duration::from_secs(90)).await;
    load.assert_all_there(&world).await;

    let lane = [("consumer", LANES[0].1)];
    let received = replicas.each("ingest_deliveries_received_total", &lane).await;
    assert!(received.iter().all(|count| *count > 0), "one replica did it all: {received:?}");
    assert_eq!(received.iter().sum::<u64>(), 10_000, "deliveries");
    let good = load.good_count() as u64;
    assert_eq!(replicas.sum("ingest_events_accepted_total", &[]).await, good);
    assert_eq!(replicas.sum("ingest_postgres_rows_total", &[]).await, good);
    assert_eq!(replicas.sum("ingest_postgres_duplicates_suppressed_total", &[]).await, 0);
    assert_eq!(replicas.sum("ingest_rejections_total", &[]).await, 200);
    replicas.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_devices_that_both_replicas_meet_at_once_are_registered_once_and_only_while_there_is_room() {
    const ROOM: usize = 100;
    const DEVICES: usize = 150;
    const EACH: u64 = 8;
    let world = World::new().await;
    let main = Subscription {
        tenant_id: "fresh".to_owned(),
        subscription_type: "MAIN".to_owned(),
        status: "ACTIVE".to_owned(),
        device_limit: ROOM as i32,
        active_device_count: 0,
    };
    seed::subscriptions(&world.database, &[main]).await;
    let replicas = Replicas::start(world.node().env("AUTO_PROVISION", 1).env("REQUIRE_TOKEN", 0)).await;
    let devices: Vec<Device> =
        (0..DEVICES).map(|n| Device { token: None, ..Device::active("fresh", &format!("new-{n}"), "") }).collect();
    // Round by round: a device's messages are so far apart that both replicas meet it.
    world.publish((0..EACH).flat_map(|round| devices.iter().map(move |device| telemetry(device, round)))).await;
    world.wait_settled(LANES[0], DEADLINE).await;

    let database = &world.database;
    assert_eq!(database.count("device_registry WHERE tenant_id = 'fresh' AND status = 'ACTIVE'").await, ROOM as u64);
    let counted = "subscriptions WHERE tenant_id = 'fresh' AND active_device_count = 100 AND device_limit = 100";
    assert_eq!(database.count(counted).await, 1, "the subscription's count is not what is registered");
    assert_eq!(replicas.sum("ingest_registry_provisioned_total", &[]).await, ROOM as u64);
    // A device has room or has not, whichever replica meets it.
    assert_eq!(database.count("raw_events").await, ROOM as u64 * EACH);
    let halves = "(SELECT device_id FROM raw_events GROUP BY 1 HAVING count(*) <> 8) AS halves";
    assert_eq!(database.count(halves).await, 0, "devices of which only some messages are stored");
    let refused = "SELECT coalesce(sum(cnt), 0)::bigint FROM quarantine_counters_minute WHERE reason = $1";
    let refused: i64 = database.query(refused, &[&"NO_SUBSCRIPTION_CAPACITY"]).await[0].get(0);
    assert_eq!(refused as u64, (DEVICES - ROOM) as u64 * EACH);
    let received = replicas.each("ingest_deliveries_received_total", &[("consumer", LANES[0].1)]).await;
    assert!(received.iter().all(|count| *count > 0), "one replica met them all: {received:?}");
    replicas.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_in_force_on_both_replicas_within_a_second_under_load() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..20).map(|number| device(number, 4)).collect();
    seed::devices(&world.database, &devices).await;
    let replicas = Replicas::start(world.node()).await;
    let traffic = Traffic::of(&world, devices.clone(), 0);
    wait_for("both replicas to know the devices", DEADLINE, async || {
        replicas.each("ingest_events_accepted_total", &[]).await.iter().all(|count| *count > 100)
    })
    .await;

    let revoked = &devices[7];
    let revoke = "UPDATE device_registry SET status = 'REVOKED' WHERE device_id = 'dev-0007'";
    let changed_at = told(&world, &replicas, async || world.database.execute(revoke).await).await;
    wait_well_in_force(Instant::now()).await;
    let refused = [("reason", "DEVICE_REVOKED")];
    wait_for("both replicas to refuse it", DEADLINE, async || {
        replicas.each("ingest_rejections_total", &refused).await.iter().all(|count| *count > 0)
    })
    .await;
    let published = traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;

    assert!(world.database.count(&rows(revoked, "<", &changed_at)).await > 0, "it was never accepted");
    assert_eq!(
        world.database.count(&rows(revoked, ">", &changed_at)).await,
        0,
        "accepted a second after its revocation"
    );
    let refused = replicas.sum("ingest_rejections_total", &refused).await;
    assert_eq!(replicas.sum("ingest_rejections_total", &[]).await, refused, "others were refused, too");
    assert_eq!(world.database.count("raw_events").await + refused, published);
    assert_eq!(world.database.count("quarantine_events WHERE device_id = 'dev-0007'").await, refused);
    replicas.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_setting_is_in_force_on_both_replicas_without_a_restart_and_a_bad_one_changes_nothing() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..20).map(|number| device(number, 4)).collect();
    seed::devices(&world.database, &devices).await;
    // What is notified need not be polled for.
    let replicas = Replicas::start(world.node().env("SETTINGS_POLL_SECONDS", 3_600)).await;
    let too_large = [("reason", "PAYLOAD_TOO_LARGE")];
    let traffic = Traffic::of(&world, devices.clone(), 0);
    let accepted = async || replicas.each("ingest_events_accepted_total", &[]).await;
    let refused = async || replicas.each("ingest_rejections_total", &too_large).await;
    let both_more = |after: [u64; 2], before: [u64; 2]| after.iter().zip(before).all(|(after, before)| *after > before);
    wait_for("both replicas to accept", DEADLINE, async || both_more(accepted().await, [0, 0])).await;
    assert_eq!(refused().await, [0, 0]);

    let limit = async |bytes: &str| seed::app_settings(&world.database, &[("MAX_PAYLOAD_BYTES", bytes)]).await;
    let changed_at = told(&world, &replicas, async || limit("100").await).await;
    wait_well_in_force(Instant::now()).await;
    wait_for("both replicas to refuse", DEADLINE, async || both_more(refused().await, [0, 0])).await;

    // Neither too low nor too high a limit: the last good one stays.
    limit("plenty").await;
    wait_for("both replicas to warn", DEADLINE, async || {
        replicas.0.iter().all(|node| node.log().lines().any(|line| line.contains("refused") && line.contains("plenty")))
    })
    .await;
    let before = refused().await;
    wait_for("both replicas to refuse more", DEADLINE, async || both_more(refused().await, before)).await;
    let mut published = traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    for device in &devices {
        assert_eq!(world.database.count(&rows(device, ">", &changed_at)).await, 0, "stored although too large");
    }

    let traffic = Traffic::of(&world, devices.clone(), published);
    let restored = told(&world, &replicas, async || limit("8192").await).await;
    let before = accepted().await;
    wait_for("both replicas to accept again", DEADLINE, async || both_more(accepted().await, before)).await;
    wait_well_in_force(Instant::now()).await;
    published += traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let late = format!("quarantine_events WHERE received_at > timestamptz '{restored}' + interval '1 second'");
    assert_eq!(world.database.count(&late).await, 0, "refused although the limit was raised");
    let refused: u64 = refused().await.iter().sum();
    assert_eq!(world.database.count("raw_events").await + refused, published);
    replicas.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_is_added_and_disabled_at_run_time_takes_effect_on_both_replicas() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..20).map(|number| device(number, 4)).collect();
    seed::devices(&world.database, &devices).await;
    let replicas = Replicas::start(world.node()).await;
    let traffic = Traffic::of(&world, devices.clone(), 0);
    wait_for("both replicas to know the devices", DEADLINE, async || {
        replicas.each("ingest_events_accepted_total", &[]).await.iter().all(|count| *count > 100)
    })
    .await;

    let routed = &devices[0];
    let route = Route {
        tenant_id: routed.tenant_id.clone(),
        name: "one device".to_owned(),
        topic_filter: format!("tenant/{}/device/{}/#", routed.tenant_id, routed.device_id),
        destination_type: "webhook".to_owned(),
        destination_config: Value::Object(Map::new()),
        payload_filter: None,
        is_enabled: true,
    };
    let added_at = told(&world, &replicas, async || seed::routes(&world.database, &[route]).await).await;
    wait_well_in_force(Instant::now()).await;
    let published = traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let disable = "UPDATE message_routes SET is_enabled = false";
    let disabled_at = told(&world, &replicas, async || world.database.execute(disable).await).await;
    let traffic = Traffic::of(&world, devices.clone(), published);
    wait_well_in_force(Instant::now()).await;
    traffic.stop().await;
    world.wait_settled(LANES[0], DEADLINE).await;

    let jobs = sequences_of_jobs(&world).await;
    let seqs = async |from: String| -> BTreeSet<i64> {
        let rows = world.database.query(&format!("SELECT seq FROM {from}"), &[]).await;
        rows.iter().map(|row| row.get(0)).collect()
    };
    let while_enabled = format!("{} AND received_at < timestamptz '{disabled_at}'", rows(routed, ">", &added_at));
    let while_enabled = seqs(while_enabled).await;
    assert!(while_enabled.len() > 20, "too little traffic to tell: {}", while_enabled.len());
    assert_eq!(while_enabled.difference(&jobs).count(), 0, "messages without a job, of {}", while_enabled.len());
    let afterwards = seqs(rows(routed, ">", &disabled_at)).await;
    assert!(!afterwards.is_empty());
    assert_eq!(afterwards.intersection(&jobs).count(), 0, "jobs of a disabled route");
    let of_device = seqs(format!("raw_events WHERE device_id = '{}'", routed.device_id)).await;
    assert_eq!(jobs.difference(&of_device).count(), 0, "jobs of other devices");
    replicas.finish().await;
}

/// The sequence numbers that devices gave the messages of all route jobs; each message has one job at most.
async fn sequences_of_jobs(world: &World) -> BTreeSet<i64> {
    let stream = world.jetstream.get_stream("ROUTES").await.expect("the stream");
    let state = stream.cached_info().state.clone();
    let mut sequences = BTreeSet::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.expect("a job");
        let job: Value = serde_json::from_slice(&message.payload).expect("a job is JSON");
        let seq = job["payload"]["seq"].as_i64().unwrap_or_else(|| panic!("no seq in {job}"));
        assert!(sequences.insert(seq), "two jobs of message {seq}");
    }
    sequences
}

//! The caches' bounds: too small for what is asked, and what strangers do to them.

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device, catch_all_route};
use ingest_kit::{procfs, wait_for};

use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_of_one_device_serves_two_thousand() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..2_000).map(|number| device(number, 4)).collect();
    seed::devices(&world.database, &devices).await;
    seed::routes(&world.database, &[catch_all_route("tenant-0")]).await;
    let node = start(world.node().env("AUTH_CACHE_MAX_SIZE", 1)).await;
    let messages = (0..2).flat_map(|seq| devices.iter().map(move |device| telemetry(device, seq)));
    world.publish(messages.collect::<Vec<Outgoing>>()).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 4_000);
    assert_eq!(world.database.count("quarantine_events").await, 0);
    let metrics = node.metrics().await;
    assert!(metrics.count("ingest_registry_cache_entries", &[]) <= 2);
    let looked_up = metrics.count("ingest_registry_lookups_total", &[("result", "found")]);
    assert!(looked_up <= 4_000, "{looked_up} look-ups of 4,000 messages");
    let mut jobs = world.jetstream.get_stream("ROUTES").await.expect("the stream");
    assert_eq!(jobs.info().await.expect("its state").state.messages, 1_000, "tenant-0's jobs");
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_leaves_the_cached_devices_where_they_are_and_memory_flat() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..20).map(|number| device(number, 2)).collect();
    seed::devices(&world.database, &devices).await;
    let node = start(world.node().env("AUTH_CACHE_MAX_SIZE", 100).env("AUTH_CACHE_TTL_SECONDS", 3_600)).await;
    // What was asked before changes are heard of is asked again.
    wait_for("the node to listen", DEADLINE, async || {
        node.metrics().await.count("ingest_registry_listening", &[]) == 1
    })
    .await;
    world.publish(devices.iter().map(|device| telemetry(device, 0))).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let stranger = |number: usize| {
        let name = format!("stranger-{number}-{}", "who-is-not-known-here-".repeat(8));
        Device::active(&name, &name, "tok-secret-of-nobody")
    };
    let flood = async |numbers: std::ops::Range<usize>| {
        let messages = numbers.map(stranger).map(|device| telemetry(&device, 0));
        world.publish(messages.collect::<Vec<_>>()).await;
        world.wait_settled(LANES[0], 2 * DEADLINE).await;
    };
    flood(0..3_000).await;
    let before = procfs::rss_bytes(node.pid());
    flood(3_000..6_000).await;
    let grown = procfs::rss_bytes(node.pid()).zip(before).map(|(after, before)| after.saturating_sub(before) >> 20);
    assert!(grown.is_some_and(|grown| grown < 16), "grown by {grown:?} MiB");
    let found = async || node.metrics().await.count("ingest_registry_lookups_total", &[("result", "found")]);
    let looked_up = found().await;
    world.publish(devices.iter().map(|device| telemetry(device, 1))).await;
    wait_for("the devices' rows", DEADLINE, async || world.database.count("raw_events").await == 40).await;
    assert_eq!(found().await, looked_up, "devices were pushed out");
    drain(node).await;
}

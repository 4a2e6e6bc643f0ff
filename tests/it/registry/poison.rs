//! A whole node among devices that can't be looked up, and under locks that others hold.

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device};
use ingest_kit::wait_for;

use super::isolation::poison_certificates;
use crate::ledger::assert_balanced;
use crate::world::{DEADLINE, LANES, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_devices_that_can_not_be_looked_up_do_not_hold_up_eight_hundred_good_messages() {
    let world = World::new().await;
    let good: Vec<Device> = (0..20).map(|number| device(number, 2)).collect();
    let poison: Vec<Device> =
        (0..20).map(|number| Device::active("tenant-0", &format!("poison-{number}"), "tok-secret-x")).collect();
    seed::devices(&world.database, &good).await;
    seed::devices(&world.database, &poison).await;
    poison_certificates(&world.database).await;
    let node = world.start_node().await;
    let messages = (0..40).flat_map(|seq| good.iter().chain(&poison).map(move |device| telemetry(device, seq)));
    world.publish(messages.collect::<Vec<Outgoing>>()).await;
    wait_for("the good messages", DEADLINE, async || world.database.count("raw_events").await == 800).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let refused = "quarantine_events WHERE reason = 'UNREGISTERED_DEVICE' AND detail LIKE 'registry: %22012%'";
    assert_eq!(world.database.count(refused).await, 800);
    assert_eq!(node.ready_status().await, Some(200));
    let lines = node.wait_logged("can't be looked up", 1).await;
    assert!((1..=20).contains(&lines), "said {lines} times");
    assert_balanced(&node.metrics().await);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_lock_on_the_registry_cached_devices_pass_and_the_others_wait() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..2).map(|number| device(number, 1)).collect();
    seed::devices(&world.database, &devices).await;
    let node = start(world.node().env("AUTH_CACHE_TTL_SECONDS", 1)).await;
    // Whatever was cached before the node hears of changes is forgotten then.
    wait_for("the node to listen", DEADLINE, async || {
        node.metrics().await.count("ingest_registry_listening", &[]) == 1
    })
    .await;
    world.publish([telemetry(&devices[0], 0)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;

    let administrator = world.database.connect().await;
    let lock = "BEGIN; LOCK TABLE device_registry IN ACCESS EXCLUSIVE MODE";
    administrator.batch_execute(lock).await.expect("the lock");
    // Its age is over before it is asked about, and there is no answer.
    let rows = async || world.database.count("raw_events").await;
    let mut sent = 0;
    wait_for("a device to pass on what is cached", DEADLINE, async || {
        sent += 1;
        world.publish([telemetry(&devices[0], sent)]).await;
        node.metrics().await.count("ingest_registry_lookups_total", &[("result", "failed")]) > 0 && rows().await > 1
    })
    .await;
    world.publish([telemetry(&devices[1], 0)]).await;
    wait_for("all of the cached one's", DEADLINE, async || rows().await == sent + 1).await;
    let other = format!("raw_events WHERE device_id = '{}'", devices[1].device_id);
    assert_eq!(world.database.count(&other).await, 0);
    administrator.batch_execute("COMMIT").await.expect("the end of the lock");
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count(&other).await, 1);
    assert_eq!(world.database.count("quarantine_events").await, 0);
    wait_for("/ready to answer 200", DEADLINE, async || node.ready_status().await == Some(200)).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_one_connection_that_the_writer_holds_is_no_outage() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..2).map(|number| device(number, 1)).collect();
    seed::devices(&world.database, &devices).await;
    let node = start(world.node().env("PG_POOL_MAX", 1).env("PG_POOL_MIN", 1)).await;
    world.publish([telemetry(&devices[0], 0)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let administrator = world.database.connect().await;
    let lock = "BEGIN; LOCK TABLE raw_events IN ACCESS EXCLUSIVE MODE";
    administrator.batch_execute(lock).await.expect("the lock");
    world.publish([telemetry(&devices[0], 1)]).await;
    wait_for("the writer to wait", DEADLINE, async || {
        let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        world.database.count(waiting).await > 0
    })
    .await;
    world.publish([telemetry(&devices[1], 0)]).await;
    wait_for("the look-up to have waited in vain", DEADLINE, async || {
        node.metrics().await.count("ingest_registry_lookups_total", &[("result", "failed")]) > 0
    })
    .await;
    let ready = node.get("/ready").await.expect("an answer");
    assert!(!ready.body.contains("look-ups"), "{}", ready.body);
    administrator.batch_execute("COMMIT").await.expect("the end of the lock");
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 3);
    drain(node).await;
}

//! InfluxDB wants smaller requests, or fewer of them.

use std::time::Duration;

use ingest_kit::wait_for;

use super::expected::Expected;
use super::readings::Readings;
use crate::workload::database;
use crate::world::{DEADLINE, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_too_large_are_halved_until_every_line_is_there() {
    let world = World::new().await;
    let load = Readings::of(2, 1_000);
    load.seed(&world).await;
    // A handful of lines.
    world.influx.set_max_body(2_000);
    let node = start(world.node()).await;
    world.publish(load.messages.clone()).await;
    world.wait_complete(load.messages.len(), &load.expected()).await;
    assert!(world.influx.counts().requests > 100, "{:?}", world.influx.counts());
    assert_eq!(world.database.count("quarantine_events").await, 0);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_asked_to_wait_waits_and_no_other_does() {
    // Side by side: what takes time is the wait.
    tokio::join!(waits_as_it_is_asked_to(429), waits_as_it_is_asked_to(503));
}

async fn waits_as_it_is_asked_to(status: u16) {
    // Longer than the others take on a busy machine.
    const WAIT_SECS: u64 = 12;
    let world = World::new().await;
    let load = Readings::of(3, 900);
    load.seed(&world).await;
    let node = start(world.node()).await;
    let patient = database("tenant-0");
    world.influx.fail_next_for(1, status, WAIT_SECS);
    let mut first = load.of_tenant("tenant-0");
    let rest = first.split_off(1);
    world.publish(first).await;
    wait_for("the answer", DEADLINE, async || !world.influx.write_times(&patient).is_empty()).await;
    let asked = world.influx.write_times(&patient)[0];
    world.publish(rest).await;
    let others = [load.of_tenant("tenant-1"), load.of_tenant("tenant-2")].concat();
    world.publish(others.clone()).await;
    wait_for("the points of the others", DEADLINE, async || world.influx.total_points() >= others.len()).await;
    assert!(asked.elapsed() < Duration::from_secs(WAIT_SECS), "the others waited as well");
    Expected::of(&others).assert_in(&world.influx);
    world.wait_complete(load.messages.len(), &load.expected()).await;
    let times = world.influx.write_times(&patient);
    let waited = times[1] - times[0];
    assert!(waited >= Duration::from_secs(WAIT_SECS), "{status}: asked again after {waited:?}");
    drain(node).await;
}

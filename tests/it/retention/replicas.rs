//! Two replicas, and one that is killed on the way.

use std::collections::VecDeque;

use ingest_kit::wait_for;

use super::{LOCKS, is_there, often, old_day, wait_dropped};
use crate::world::{DEADLINE, World, drain, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_works_at_a_time_and_each_partition_is_dropped_once() {
    let world = World::new().await;
    let mut days = Vec::new();
    for days_ago in 4..16 {
        days.push(old_day(&world.database, days_ago, 1).await);
    }
    // A third replica is at it.
    let third = world.database.connect().await;
    third.execute("SELECT pg_advisory_lock($1, 1)", &[&LOCKS]).await.expect("the lock");
    let (builder, _file) = often(world.node().env("RAW_EVENTS_RETENTION_DAYS", 3).env("LOG_LEVEL", "debug"));
    let nodes = [start(builder.clone()).await, start(builder).await];
    for node in &nodes {
        node.wait_logged("another replica is at it", 2).await;
    }
    for day in &days {
        assert!(is_there(&world.database, day).await);
    }
    drop(third);
    wait_dropped(&world.database, &days.iter().collect::<Vec<_>>()).await;
    wait_for("every partition to be logged", DEADLINE, async || {
        let logs: String = nodes.iter().map(ingest_kit::Node::log).collect();
        let lines: Vec<_> = logs.lines().filter(|line| line.contains("partition dropped")).collect();
        assert!(lines.len() <= days.len(), "{lines:#?}");
        days.iter().all(|day| lines.iter().any(|line| line.contains(day.as_str())))
    })
    .await;
    for node in nodes {
        assert!(!node.log().contains("retention is behind"), "{}", node.log());
        drain(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_has_begun_the_next_one_ends() {
    let world = World::new().await;
    let days = [
        old_day(&world.database, 4, 1).await,
        old_day(&world.database, 5, 1).await,
        old_day(&world.database, 6, 1).await,
    ];
    let (builder, _file) = often(world.node().env("RAW_EVENTS_RETENTION_DAYS", 3).env("LOG_LEVEL", "debug"));
    let mut node = builder.clone().env("INGEST_FAILPOINTS", "retention-drop=kill@2").start();
    assert_eq!(node.wait_exit(DEADLINE).await, None, "killed");
    let mut left = Vec::new();
    for day in &days {
        left.extend(is_there(&world.database, day).await.then_some(day));
    }
    // The oldest goes first, so the youngest is left; but one that is in use (a vacuum's look is enough) goes behind the others.
    let mut order: VecDeque<_> = days.iter().rev().collect();
    for line in node.log().lines().filter(|line| line.contains("the next one first")) {
        let Some(at) = order.iter().position(|day| line.contains(day.as_str())) else { panic!("{line}") };
        let Some(in_use) = order.remove(at) else { unreachable!() };
        order.push_back(in_use);
    }
    assert_eq!(left, [order[2]], "{}", node.log());
    let node = start(builder).await;
    wait_dropped(&world.database, &left).await;
    drain(node).await;
}

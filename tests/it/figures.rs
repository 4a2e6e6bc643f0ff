//! The figures of `/metrics` and `/stats` move with what they count, and say what does not work.

use ingest_kit::{Metrics, Node, wait_for};

use crate::consumer::wait_ready_shows;
use crate::workload::Workload;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// Whether a component does its work; `None` where there is no such component.
fn is_up(metrics: &Metrics, component: &str) -> Option<bool> {
    metrics.get("ingest_component_up", &[("component", component)]).map(|value| value > 0.0)
}

async fn wait_up(node: &Node, component: &str, expected: bool) {
    let what = format!("{component} to be {}", if expected { "up" } else { "down" });
    wait_for(&what, DEADLINE, async || is_up(&node.metrics().await, component) == Some(expected)).await;
}

/// Whether the node is ready, as its metrics have it.
async fn wait_ready_is(node: &Node, expected: f64) {
    let what = format!("ingest_ready to be {expected}");
    wait_for(&what, DEADLINE, async || node.metrics().await.get("ingest_ready", &[]) == Some(expected)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_that_do_not_do_their_work_are_down_and_what_their_servers_said_is_counted() {
    let mut world = World::new().await;
    let load = Workload::good(400);
    load.seed(&world).await;
    let node = start(world.node().env("LOG_STATS_EVERY_SECONDS", 1)).await;
    let metrics = node.metrics().await;
    for component in ["nats", "postgres", "schema", "influx", "ingest-workers", "ingest-shadow", "ingest-commands"] {
        assert_eq!(is_up(&metrics, component), Some(true), "{component}");
    }
    assert_eq!(metrics.get("ingest_ready", &[]), Some(1.0));
    node.wait_logged("ready: true", 1).await;

    // InfluxDB is no condition of readiness, and is down nevertheless.
    world.influx.set_token("another");
    world.publish(load.messages[..200].to_vec()).await;
    wait_up(&node, "influx", false).await;
    wait_for("the refusal to be counted", DEADLINE, async || {
        node.metrics().await.count("ingest_influx_requests_total", &[("status", "401")]) > 0
    })
    .await;
    assert_eq!(node.metrics().await.get("ingest_ready", &[]), Some(1.0));
    wait_ready_shows(&node, 200, "influx: ").await;
    world.influx.set_token("apiv3_test");
    wait_up(&node, "influx", true).await;
    node.wait_logged("influxdb takes writes again", 1).await;
    assert!(node.metrics().await.count("ingest_influx_requests_total", &[("status", "2xx")]) > 0);

    // Reads work, writes do not.
    let name = world.database.name().to_owned();
    let end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.wait_settled(LANES[0], DEADLINE).await;
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    world.database.execute(&format!("{read_only}; {end_sessions}")).await;
    world.publish(load.messages[200..].to_vec()).await;
    wait_up(&node, "postgres", false).await;
    wait_ready_is(&node, 0.0).await;
    let errors = async |class| node.metrics().await.count("ingest_postgres_errors_total", &[("class", class)]);
    wait_for("the error to be counted", DEADLINE, async || errors("read_only").await > 0).await;
    wait_for("/stats to say why", DEADLINE, async || {
        let stats = node.stats().await;
        stats["ready"] == false && stats["reasons"].to_string().contains("postgres: ")
    })
    .await;
    node.wait_logged("ready: false", 1).await;
    let undo = format!("BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT");
    world.database.execute(&undo).await;
    world.database.execute(end_sessions).await;
    wait_up(&node, "postgres", true).await;
    world.wait_settled(LANES[0], DEADLINE).await;

    assert_eq!(node.metrics().await.count("ingest_nats_reconnects_total", &[]), 0);
    world.nats.stop();
    wait_up(&node, "nats", false).await;
    world.nats.start_again();
    wait_up(&node, "nats", true).await;
    wait_for("both connections", DEADLINE, async || {
        node.metrics().await.count("ingest_nats_reconnects_total", &[]) >= 2
    })
    .await;
    wait_ready_is(&node, 1.0).await;
    load.assert_all_there(&world).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_flows_through_the_actors_and_what_the_process_takes_is_in_metrics_and_stats() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::good(300);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    let node = world.node().env("INFLUXDB_WRITE_ENABLED", 0).env("INGEST_FAILPOINTS", "validator=panic@2");
    let node = start(node).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let of = |metrics: &Metrics, name: &str, actor: &str| metrics.get(name, &[("actor", actor)]);
    wait_for("empty queues", DEADLINE, async || {
        let metrics = node.metrics().await;
        ["consumer", "validator", "writer"].iter().all(|actor| of(&metrics, "ingest_actor_queue", actor) == Some(0.0))
    })
    .await;
    let metrics = node.metrics().await;
    assert_eq!(is_up(&metrics, "influx"), None, "no points are written");
    for actor in ["consumer", "validator", "writer", "registry", "state-writer", "publisher"] {
        assert!(of(&metrics, "ingest_actor_busy_seconds_total", actor) > Some(0.0), "{actor}");
    }
    // The messages have times of their own. Those that the panic took were validated twice.
    assert!(metrics.count("ingest_event_lag_seconds_count", &[]) >= 300);
    for name in ["resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "start_time_seconds"] {
        assert!(metrics.get(&format!("process_{name}"), &[]) > Some(0.0), "process_{name}");
    }
    assert!(metrics.get("process_cpu_seconds_total", &[]) > Some(0.0));
    assert_eq!(metrics.get("ingest_log_lines_dropped_total", &[]), Some(0.0));
    let connections = |state| metrics.get("ingest_postgres_pool", &[("state", state)]).expect("the pool");
    assert!(connections("size") >= 1.0 && connections("size") <= connections("max"));

    let stats = node.stats().await;
    let validator = &stats["actors"]["validator"];
    assert_eq!((&validator["state"], &validator["running"]), (&"running".into(), &2.into()), "{stats}");
    assert_eq!((&validator["restarts"], &validator["last_exit"]), (&1.into(), &"panicked".into()), "{stats}");
    assert!(validator["in"].as_u64() >= validator["out"].as_u64() && validator["out"].as_u64() > Some(0), "{stats}");
    assert_eq!((&stats["ready"], &stats["reasons"]), (&true.into(), &serde_json::json!([])));
    drain(node).await;
}

//! Databases before points: `provision-tenants`, a running node that hears of a new tenant, and what a server can hold.

use ingest_kit::influx::InfluxStubBuilder;
use ingest_kit::{Finished, InfluxStub, seed, wait_for};

use crate::world::{DEADLINE, World, drain, node, start};

async fn provision(world: &World, influx: &InfluxStub, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments: Vec<&str> = ["provision-tenants"].iter().chain(arguments).copied().collect();
    let finished = node()
        .arguments(&arguments)
        .env("DATABASE_URL", world.database.url())
        .env("INFLUXDB_URL", influx.url())
        .env("INFLUXDB_TOKEN", "apiv3_test")
        .run_to_end(DEADLINE)
        .await;
    (finished.code, finished.stdout)
}

async fn register(world: &World, tenants: &[&str]) {
    let devices: Vec<_> = tenants.iter().map(|tenant| seed::Device::active(tenant, "d1", "tok-secret-1")).collect();
    seed::devices(&world.database, &devices).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_gets_its_database_once() {
    let world = World::new().await;
    register(&world, &["acme", "m\u{fc}ller & s\u{f6}hne"]).await;

    let (code, text) = provision(&world, &world.influx, &["--dry-run"]).await;
    assert_eq!((code, world.influx.databases().len()), (Some(0), 0), "{text}");
    assert!(text.contains("WOULD   acme"), "{text}");

    let (code, text) = provision(&world, &world.influx, &[]).await;
    assert_eq!((code, text.matches("OK      ").count()), (Some(0), 2), "{text}");
    assert!(world.influx.databases().contains(&"telemetry_acme".to_owned()));

    let (code, text) = provision(&world, &world.influx, &["--tenant", "acme"]).await;
    assert_eq!((code, text.matches("EXISTS  acme").count()), (Some(0), 1), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_nobody_knows_is_said_and_gets_no_database() {
    let world = World::new().await;
    register(&world, &["acme"]).await;
    let (code, text) = provision(&world, &world.influx, &["--tenant", "nobody", "--tenant", "acme"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ERR     nobody: no device of this tenant"), "{text}");
    assert_eq!(world.influx.databases(), ["telemetry_acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_costs_the_other_tenants_nothing_and_is_named() {
    let world = World::new().await;
    let tenants: Vec<String> = (0..7).map(|number| format!("t{number}")).collect();
    register(&world, &tenants.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let full = InfluxStubBuilder::default().database_limit(5).start();

    let (code, text) = provision(&world, &full, &[]).await;
    assert_eq!(code, Some(1), "{text}");
    assert_eq!((text.matches("OK      ").count(), text.matches("ERR     ").count()), (5, 2), "{text}");
    assert!(text.contains("no room for another database"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_first_device_is_registered_gets_its_database_at_once() {
    let world = World::new().await;
    register(&world, &["old"]).await;
    let node = world.start_node().await;
    register(&world, &["acme", "m\u{fc}ller"]).await;
    let databases = || world.influx.databases();
    wait_for("the databases", DEADLINE, async || databases() == ["telemetry-x-m_C3_BCller", "telemetry_acme"]).await;
    assert_eq!(world.influx.counts().requests, 0, "no point was needed");

    // Its last device goes: that is no reason to make a database.
    world.database.query("DELETE FROM device_registry WHERE tenant_id = 'old'", &[]).await;
    register(&world, &["last"]).await;
    wait_for("the next database", DEADLINE, async || databases().contains(&"telemetry_last".to_owned())).await;
    assert!(!databases().contains(&"telemetry_old".to_owned()));
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_make_databases_keeps_no_node_from_working() {
    let mut world = World::new().await;
    world.influx.stop().await;
    let mut node = world.start_node().await;
    register(&world, &["acme"]).await;
    let said = "a new tenant's database could not be made beforehand";
    wait_for("the log to say so", DEADLINE, async || node.log().contains(said)).await;
    node.wait_ready(DEADLINE).await;
    drain(node).await;
}

async fn check_online(world: &World, influx: &str, layout: &str) -> Finished {
    node()
        .arguments(&["check-config", "--online"])
        .env("NATS_URL", world.nats.url())
        .env("DATABASE_URL", world.database.url())
        .env("INFLUXDB_URL", influx)
        .env("INFLUXDB_TOKEN", "apiv3_test")
        .env("INFLUXDB_DATABASE_LAYOUT", layout)
        .run_to_end(DEADLINE)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tenants_than_a_server_can_hold_are_told_beforehand_with_what_to_do() {
    let world = World::new().await;
    let tenants: Vec<String> = (0..7).map(|number| format!("t{number}")).collect();
    register(&world, &tenants.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let advice =
        "InfluxDB 3 Core holds 5 databases; 0 are there and 7 more are needed, so 2 of 7 tenants will have none";

    let checked = check_online(&world, &world.influx.url(), "per_tenant").await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stdout.contains(advice), "{checked:?}");
    assert!(checked.stdout.contains("set INFLUXDB_DATABASE_LAYOUT=shared"), "{checked:?}");
    assert!(checked.stdout.contains("# OK    postgresql: 7 tenants"), "{checked:?}");
    assert!(!checked.stdout.contains("apiv3_test"), "the token is shown");

    let checked = check_online(&world, &world.influx.url(), "shared").await;
    assert!(checked.stdout.contains("# OK    influxdb: InfluxDB 3 Core"), "{checked:?}");
    let checked = check_online(&world, "http://127.0.0.1:9", "shared").await;
    assert_eq!(checked.code, Some(69), "{checked:?}");

    let node = start(world.node()).await;
    wait_for("the log to say so", DEADLINE, async || node.log().contains(advice)).await;
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_share_a_database_which_a_full_server_lacks_are_counted_as_what_they_are() {
    let world = World::new().await;
    let tenants: Vec<String> = (0..6).map(|number| format!("t{number}")).collect();
    register(&world, &tenants.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for other in ["a", "b", "c", "d", "e"] {
        world.influx.define_tag(other, "t", "d");
    }
    let checked = check_online(&world, &world.influx.url(), "shared").await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stdout.contains("5 are there") && checked.stdout.contains("none of 6 tenants"), "{checked:?}");
    assert!(!checked.stdout.contains("INFLUXDB_DATABASE_LAYOUT=shared"), "it is: {checked:?}");
    // With the shared one among them there is room for all.
    world.influx.drop_database("e");
    world.influx.define_tag("telemetry", "telemetry", "tenant_id");
    let checked = check_online(&world, &world.influx.url(), "shared").await;
    assert!(checked.stdout.contains("# OK    influxdb: InfluxDB 3 Core"), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_makes_no_header_is_named_by_its_setting() {
    let world = World::new().await;
    let influx = InfluxStub::builder().token("apiv3_test").start();
    let check = node()
        .arguments(&["check-config", "--online"])
        .env("DATABASE_URL", world.database.url())
        .env("INFLUXDB_URL", influx.url())
        .env("INFLUXDB_TOKEN", "Bearer apiv3_test");
    let checked = check.run_to_end(DEADLINE).await;
    assert!(checked.code != Some(0) && checked.stdout.contains("check INFLUXDB_TOKEN"), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_by_the_v2_api_leaves_no_rows_behind() {
    let world = World::new().await;
    register(&world, &["acme"]).await;
    for expected in ["OK      acme", "EXISTS  acme"] {
        let run = node()
            .arguments(&["provision-tenants"])
            .env("DATABASE_URL", world.database.url())
            .env("INFLUXDB_API", "v2")
            .env("INFLUXDB_URL", world.influx.url())
            .env("INFLUXDB_TOKEN", "apiv3_test");
        let finished = run.run_to_end(DEADLINE).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.contains(expected), "{finished:?}");
    }
    assert_eq!((world.influx.counts().untimed_lines, world.influx.total_points()), (0, 0));
}

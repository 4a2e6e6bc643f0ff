//! `provision-tenants`: every tenant gets its database, whatever became of the one before.

use ingest_kit::influx::InfluxStubBuilder;
use ingest_kit::{InfluxStub, seed};

use crate::world::{DEADLINE, World, node};

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

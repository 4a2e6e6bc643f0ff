//! Auto-provisioning.

use ingest_core::message::device::Lookup;
use ingest_kit::{Postgres, wait_for};
use ingest_node::testing::registry::Config;

use super::{Bench, SOON, migrated};

fn provisioning() -> Config {
    Config { auto_provision: true, ..Config::default() }
}

#[actix::test]
async fn unknown_devices_are_registered_as_far_as_there_is_room_and_counted_once_by_all_replicas() {
    let database = migrated(Postgres::shared()).await;
    let subscription = |id: &str, kind: &str, status: &str, limit: i32, count: i32| {
        format!(
            "INSERT INTO subscriptions (subscription_id, tenant_id, subscription_type, status, device_limit,
             active_device_count) VALUES ('{id}', 'ap', '{kind}', '{status}', {limit}, {count});"
        )
    };
    let subscriptions = [
        subscription("s1", "MAIN", "ACTIVE", 30, 0),
        subscription("s2", "MAIN", "ACTIVE", 25, 5),
        subscription("s3", "MAIN", "SUSPENDED", 100, 0),
        subscription("s4", "ADDON", "ACTIVE", 100, 0),
    ];
    database.execute(&subscriptions.concat()).await;
    let benches: Vec<Bench> = (0..3).map(|_| Bench::with(&database, provisioning())).collect();
    let names: Vec<String> = (0..80).map(|i| format!("d{i}")).collect();
    for chunk in names.chunks(8) {
        for bench in &benches {
            bench.ask(&chunk.iter().map(|name| ("ap", name.as_str(), "site-9")).collect::<Vec<_>>());
        }
    }
    for bench in &benches {
        wait_for("all answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 80).await;
        let told = bench.heard.0.lock().unwrap();
        let found = told.devices.values().filter(|lookup| matches!(lookup, Lookup::Found(_))).count();
        let no_room = told.devices.values().filter(|lookup| matches!(lookup, Lookup::NoCapacity)).count();
        assert_eq!((found, no_room), (50, 30));
    }
    let counts = database
        .query("SELECT subscription_id, active_device_count FROM subscriptions ORDER BY 1", &[])
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect::<Vec<(String, i32)>>();
    let expected = [("s1", 30), ("s2", 25), ("s3", 0), ("s4", 0)].map(|(id, count)| (id.to_owned(), count));
    assert_eq!(counts, expected);
    let registered = "device_registry WHERE tenant_id = 'ap' AND site_id = 'site-9' AND status = 'ACTIVE'";
    assert_eq!(database.count(registered).await, 50);
    assert_eq!(database.count("device_registry WHERE subscription_id = 's1'").await, 30);
    let made: u64 = benches.iter().map(|bench| bench.metrics.registry.provisioned.get()).sum();
    assert_eq!(made, 50);
}

#[actix::test]
async fn without_a_subscription_or_a_site_nothing_is_registered() {
    let database = migrated(Postgres::shared()).await;
    let room = "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'roomy', 5)";
    database.execute(room).await;
    let bench = Bench::with(&database, provisioning());
    assert!(matches!(bench.lookup("none", "d").await, Lookup::NoCapacity));
    assert!(matches!(bench.lookup_at("roomy", "d", "").await, Lookup::Unknown));
    assert!(matches!(bench.lookup_at("roomy", "d", "a\0b").await, Lookup::Unknown));
    assert!(matches!(bench.lookup("roomy", "d").await, Lookup::Found(_)));
    assert_eq!(database.count("device_registry").await, 1);
}

#[actix::test]
async fn a_tenant_whose_devices_can_not_be_registered_holds_up_no_other() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'bad', 5), ('t', 'good', 5);
             ALTER TABLE device_registry ADD CONSTRAINT known_tenants CHECK (tenant_id <> 'bad');",
        )
        .await;
    let bench = Bench::with(&database, provisioning());
    bench.ask(&[("bad", "d", "s"), ("good", "d", "s")]);
    wait_for("both answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 2).await;
    assert!(matches!(bench.lookup("bad", "d").await, Lookup::Invalid(_)));
    assert!(matches!(bench.lookup("good", "d").await, Lookup::Found(_)));
    assert_eq!(database.count("subscriptions WHERE active_device_count = 0").await, 1);
}

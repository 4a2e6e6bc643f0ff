//! What becomes of questions while PostgreSQL is away or frozen.

use ingest_core::message::device::Lookup;
use ingest_kit::{Postgres, wait_for};
use ingest_node::testing::message::{Drain, Invalidate};
use ingest_node::testing::metrics::LookupResult;

use super::{Bench, SOON, Told, migrated};

#[actix::test]
async fn an_outage_keeps_the_questions_and_is_told_and_its_end_too() {
    let mut cluster = Postgres::start();
    let database = migrated(&cluster).await;
    database.execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's')").await;
    let bench = Bench::new(&database);
    bench.found("a", "d").await;
    bench.listening().await;

    cluster.stop();
    assert!(matches!(bench.next_invalid().await, Invalidate::Reachable(false)));
    bench.heard.0.lock().unwrap().devices.clear();
    bench.ask(&[("a", "d", "s"), ("a", "e", "s")]);
    wait_for("failed look-ups", SOON, async || bench.metrics.registry.lookups.of(LookupResult::Failed).get() >= 4)
        .await;
    assert!(bench.heard.0.lock().unwrap().devices.is_empty(), "nothing is answered that is not known");
    assert!(
        bench
            .readiness
            .ready()
            .unwrap_err()
            .iter()
            .any(|why| why.starts_with("postgres: ") && !why.ends_with("starting"))
    );

    cluster.start_again();
    wait_for("the answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 2).await;
    bench.listening().await;
    let told = |told: &Told| told.devices.values().filter(|lookup| matches!(lookup, Lookup::Found(_))).count();
    assert_eq!(told(&bench.heard.0.lock().unwrap()), 1);
    assert!(!bench.readiness.ready().unwrap_err().iter().any(|why| why.starts_with("postgres: ")));
    database.execute("DELETE FROM device_registry").await;
    wait_for("a change to be heard again", SOON, async || {
        bench.heard.0.lock().unwrap().invalid.iter().any(|invalid| matches!(invalid, Invalidate::Devices(_)))
    })
    .await;
    bench.registry.send(Drain).await.unwrap();
}

#[actix::test]
async fn a_frozen_server_is_told_too() {
    let cluster = Postgres::start();
    let database = migrated(&cluster).await;
    let bench = Bench::new(&database);
    bench.listening().await;
    cluster.pause();
    assert!(matches!(bench.next_invalid().await, Invalidate::Reachable(false)));
    bench.ask(&[("a", "d", "s")]);
    cluster.resume();
    wait_for("the answer", SOON, async || !bench.heard.0.lock().unwrap().devices.is_empty()).await;
    let back = async || {
        bench.heard.0.lock().unwrap().invalid.iter().any(|invalid| matches!(invalid, Invalidate::Reachable(true)))
    };
    wait_for("the end of it to be told", SOON, back).await;
}

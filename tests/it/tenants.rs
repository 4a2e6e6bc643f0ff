//! Tenants with names that no alphabet outside was made for.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use ingest_core::influx::names::influx_database;
use ingest_core::message::names::subject_token;
use ingest_kit::envelope::telemetry;
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{self, Device, Route};
use ingest_kit::wait_for;
use serde_json::{Value, json};

use crate::world::{DEADLINE, LANES, World, drain};

/// Names that are easily taken for each other, and names that break rules. A slash can't be: it ends a topic's level.
fn names() -> Vec<String> {
    let odd = [
        "acme",
        "Acme",
        "acme north",
        "acme.north",
        "acme_north",
        "acme_20north",
        "acme%20north",
        "telemetry_acme",
        "x-acme_20north",
        "a*b",
        "a>b",
        "größe",
        "gro\u{308}ße",
        "名前",
        "🌡",
        "-",
        "..",
        "a\"b\\c",
    ];
    // Of 200 characters, all but the last the same.
    let long = ["x", "y", " ", "é"].map(|end| "x".repeat(199) + end);
    let wide = ["é", "è"].map(|end| "é".repeat(199) + end);
    odd.map(str::to_owned).into_iter().chain(long).chain(wide).collect()
}

fn everything_of(tenant: &str) -> Route {
    Route {
        tenant_id: tenant.to_owned(),
        name: "everything".to_owned(),
        topic_filter: "#".to_owned(),
        destination_type: "webhook".to_owned(),
        destination_config: json!({"url": "http://127.0.0.1:9/"}),
        payload_filter: None,
        is_enabled: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_with_awkward_names_share_nothing() {
    let names = names();
    let databases: BTreeSet<String> = names.iter().map(|name| influx_database(name)).collect();
    let subjects: BTreeSet<String> = names.iter().map(|name| format!("routes.{}", subject_token(name))).collect();
    assert_eq!((databases.len(), subjects.len()), (names.len(), names.len()));

    let world = World::new().await;
    // The same device everywhere: only the tenant tells its messages apart.
    let devices: Vec<Device> = names.iter().map(|name| Device::active(name, "dev-1", "tok-secret-1")).collect();
    seed::devices(&world.database, &devices).await;
    let routes: Vec<Route> = names.iter().map(|name| everything_of(name)).collect();
    seed::routes(&world.database, &routes).await;
    let node = world.start_node().await;

    // The first sends one message, the second two, and so on: no two tenants have equal counts.
    let messages = devices.iter().enumerate().flat_map(|(place, device)| {
        let subject = format!("telemetry.{}", subject_token(&device.tenant_id));
        (0..=place as u64).map(move |seq| Outgoing { subject: subject.clone(), ..telemetry(device, seq) })
    });
    world.publish(messages).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("quarantine_events").await, 0);

    let jobs = world.jetstream.get_stream("ROUTES").await.unwrap();
    for (place, name) in names.iter().enumerate() {
        let sent = place + 1;
        let rows = world.database.query("SELECT count(*) FROM raw_events WHERE tenant_id = $1", &[name]).await;
        assert_eq!(rows[0].get::<_, i64>(0), sent as i64, "rows of {name}");
        let database = influx_database(name);
        let points = || world.influx.point_count(&database);
        wait_for(&format!("the points of {name}"), DEADLINE, async || points() >= sent).await;
        assert_eq!(points(), sent, "points of {name}");
        let job = jobs.get_last_raw_message_by_subject(&format!("routes.{}", subject_token(name))).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&job.payload).unwrap()["tenant_id"], **name, "a job of {name}");
    }
    assert_eq!(jobs.get_info().await.unwrap().state.subjects_count, names.len() as u64);
    drain(node).await;
}

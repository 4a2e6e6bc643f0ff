//! The tenant's database in InfluxDB: its state is in the answer, whatever it is.

use ingest_kit::{InfluxStub, wait_for};
use serde_json::{Value, json};

use super::client::Admin;
use super::{start_with_admin, with_admin};
use crate::world::{DEADLINE, World, drain, start};

async fn database(admin: &Admin, tenant_id: &str) -> Value {
    let body = json!({"tenant_id": tenant_id, "device_id": "d", "site_id": "s"});
    let answer = admin.post("/api/admin/devices", &body).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    answer.body["influx_database"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_database_is_asked_for_and_is_there_or_has_no_room_or_fails() {
    let mut world = World::beside(InfluxStub::builder().database_limit(5).start()).await;
    let (node, admin) = start_with_admin(&world).await;
    for number in 0..5 {
        let name = format!("telemetry_t{number}");
        assert_eq!(database(&admin, &format!("t{number}")).await, json!({"name": name, "state": "requested"}));
        wait_for("the database", DEADLINE, async || world.influx.databases().contains(&name)).await;
        assert_eq!(database(&admin, &format!("t{number}")).await, json!({"name": name, "state": "exists"}));
    }
    assert_eq!(database(&admin, "sixth").await, json!({"name": "telemetry_sixth", "state": "no_room"}));
    world.influx.stop().await;
    assert_eq!(database(&admin, "seventh").await, json!({"name": "telemetry_seventh", "state": "failed"}));
    assert_eq!(world.database.count("device_registry").await, 7, "none of it keeps a device from being registered");
    drain(node).await;

    // A server that accepts and says nothing is not waited for.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (with_silent, admin) = with_admin(&world);
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let node = start(with_silent.env("INFLUXDB_URL", url)).await;
    assert_eq!(database(&admin, "eighth").await, json!({"name": "telemetry_eighth", "state": "requested"}));
    drain(node).await;

    let (with_files, admin) = with_admin(&world);
    let node = start(with_files.env("INFLUXDB_URL", "").env("INFLUXDB_API", "files")).await;
    assert_eq!(database(&admin, "ninth").await, json!({"name": "telemetry_ninth", "state": "requested"}));
    assert_eq!(database(&admin, "ninth").await, json!({"name": "telemetry_ninth", "state": "exists"}));
    drain(node).await;

    let (no_points, admin) = with_admin(&world);
    let node = start(no_points.env("INFLUXDB_WRITE_ENABLED", 0)).await;
    assert_eq!(database(&admin, "t0").await, Value::Null);
    drain(node).await;
}

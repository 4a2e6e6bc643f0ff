//! Connections to PostgreSQL that die without a word: what is revoked is seen all the same, by every replica.

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::seed::{self, Device};
use ingest_kit::{Database, Node, Proxy, wait_for};

use crate::world::{DEADLINE, LANES, World, drain, start};

/// The port of the database's server.
async fn port(database: &Database) -> u16 {
    let rows = database.query("SELECT inet_server_port()", &[]).await;
    u16::try_from(rows[0].get::<_, i32>(0)).expect("a port")
}

/// A node that reaches PostgreSQL by way of a proxy, and trusts what it has cached for an hour.
async fn behind(world: &World, proxy: &Proxy) -> Node {
    let url =
        world.database.url().replace(&format!(":{}/", port(&world.database).await), &format!(":{}/", proxy.port()));
    let settings = world.node().env("DATABASE_URL", url).env("AUTH_CACHE_TTL_SECONDS", 3_600);
    start(settings.env("METRIC_MAP_CACHE_TTL", 3_600)).await
}

async fn listens(node: &Node) -> bool {
    node.metrics().await.count("ingest_registry_listening", &[]) == 1
}

/// Publishes messages of both devices until the revoked one is refused everywhere: a dozen of its messages in a row.
async fn wait_until_refused(world: &World, revoked: &Device, other: &Device) {
    let mut seq = 1_000;
    wait_for("the revocation to be seen by every replica", DEADLINE, async || {
        let before = world.database.count("raw_events").await;
        world
            .publish((0..12).map(|_| {
                seq += 1;
                telemetry(revoked, seq)
            }))
            .await;
        world.publish([telemetry(other, seq)]).await;
        world.wait_settled(LANES[0], DEADLINE).await;
        world.database.count("raw_events").await == before + 1
    })
    .await;
}

async fn revoke(database: &Database, device: &Device) {
    let sql = format!(
        "UPDATE device_registry SET status = 'REVOKED' WHERE tenant_id = '{}' AND device_id = '{}'",
        device.tenant_id, device.device_id
    );
    database.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_seen_by_every_replica_although_their_connections_are_half_open() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..2).map(|number| device(number, 1)).collect();
    seed::devices(&world.database, &devices).await;
    let proxies = [Proxy::start(port(&world.database).await).await, Proxy::start(port(&world.database).await).await];
    let nodes = [behind(&world, &proxies[0]).await, behind(&world, &proxies[1]).await];
    for node in &nodes {
        wait_for("LISTEN", DEADLINE, async || listens(node).await).await;
    }
    world.publish((0..100).flat_map(|seq| devices.iter().map(move |device| telemetry(device, seq)))).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 200);

    for proxy in &proxies {
        proxy.forget_connections();
    }
    // What is cached holds for an hour, and TCP would take minutes: only the node's own heartbeat notices within the deadline.
    revoke(&world.database, &devices[0]).await;
    for node in &nodes {
        // It listens again within moments: too short a time to be seen in a metric for certain.
        node.wait_logged("not listening for changes", 1).await;
    }
    for node in &nodes {
        wait_for("LISTEN again", DEADLINE, async || listens(node).await).await;
    }
    wait_until_refused(&world, &devices[0], &devices[1]).await;
    assert_eq!(world.database.count("quarantine_events WHERE reason <> 'DEVICE_REVOKED'").await, 0);
    // No drain: what else waits for an answer on a dead connection has a bound of its own, longer than this.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_seen_although_every_backend_was_terminated_in_that_moment() {
    let world = World::new().await;
    let devices: Vec<Device> = (0..2).map(|number| device(number, 1)).collect();
    seed::devices(&world.database, &devices).await;
    let nodes = [world.start_node().await, world.start_node().await];
    for node in &nodes {
        wait_for("LISTEN", DEADLINE, async || listens(node).await).await;
    }
    world.publish((0..100).flat_map(|seq| devices.iter().map(move |device| telemetry(device, seq)))).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.database.query(terminate, &[]).await;
    revoke(&world.database, &devices[0]).await;
    wait_until_refused(&world, &devices[0], &devices[1]).await;
    for node in nodes {
        drain(node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_revoked_by_its_date_alone_is_told_at_once() {
    let world = World::new().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let certificate = format!(
        "INSERT INTO device_certificates (tenant_id, device_id, common_name, not_after)
         VALUES ('{t}', '{d}', '{t}/{d}', 'infinity')",
        t = device.tenant_id,
        d = device.device_id
    );
    world.database.execute(&certificate).await;
    let node = start(world.node().env("CERT_AUTH_ENABLED", 1).env("AUTH_CACHE_TTL_SECONDS", 3_600)).await;
    wait_for("LISTEN", DEADLINE, async || listens(&node).await).await;
    let by_certificate = |seq| {
        let mut message = telemetry(&Device { token: None, ..device.clone() }, seq);
        let envelope = String::from_utf8(message.payload.to_vec()).expect("JSON");
        let username = format!(r#""username":"{}/{}""#, device.tenant_id, device.device_id);
        message.payload = envelope.replace(r#""username":"""#, &username).into();
        message
    };
    world.publish([by_certificate(0)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    assert_eq!(world.database.count("raw_events").await, 1);
    world.database.execute("UPDATE device_certificates SET revoked_at = now()").await;
    let mut seq = 0;
    wait_for("the revocation", DEADLINE, async || {
        seq += 1;
        world.publish([by_certificate(seq)]).await;
        world.wait_settled(LANES[0], DEADLINE).await;
        world.database.count("quarantine_events WHERE reason = 'TOKEN_MISSING'").await > 0
    })
    .await;
    drain(node).await;
}

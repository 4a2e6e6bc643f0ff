//! Tables of an earlier system, whose columns have other types that can hold the same.

use ingest_kit::envelope::{device, telemetry};
use ingest_kit::{Nats, Postgres, seed, wait_for};

use crate::world::{DEADLINE, LANES, World, drain, migrate, start};

const LEGACY: &str = "
    CREATE TYPE kind AS ENUM ('TELEMETRY', 'HEARTBEAT');
    CREATE TYPE customer AS ENUM ('tenant-0');
    CREATE TABLE device_state (tenant_id varchar(40), device_id varchar(40), last_seen_at timestamp, last_seq integer,
        PRIMARY KEY (tenant_id, device_id));
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_an_earlier_system_is_read_and_gone_on_with() {
    let database = Postgres::shared().create_database().await;
    database.execute(LEGACY).await;
    migrate(&database).await;
    let world = World::on(Nats::start(), None, database).await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    world
        .database
        .execute(
            "INSERT INTO device_state (tenant_id, device_id, last_seen_at)
             VALUES ('tenant-0', 'dev-0000', now() - interval '1 day')
             ON CONFLICT (tenant_id, device_id) DO UPDATE SET last_seen_at = excluded.last_seen_at",
        )
        .await;
    let node = start(world.node()).await;
    for seq in 1..=3 {
        world.publish([telemetry(&device, seq)]).await;
        world.wait_settled(LANES[0], DEADLINE).await;
        wait_for("the number", DEADLINE, async || {
            world
                .database
                .count(&format!("device_state WHERE last_seq = {seq} AND last_seen_at > now() - interval '1 hour'"))
                .await
                == 1
        })
        .await;
    }
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", node.log());
    drain(node).await;
}

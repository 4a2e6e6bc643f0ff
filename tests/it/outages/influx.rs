//! InfluxDB refuses the token, hangs, or is full; the disk for files is full.

use ingest_kit::InfluxStub;

use super::outage::{Lag, Moves, Outage, QUIET, Scene};
use super::small_disk::SmallDisk;
use crate::workload::database;
use crate::world::World;

/// Rows and acknowledgements go on, the points are owed, and the node stays ready.
const OWED: Outage = Outage { down: &["influx"], lag: Lag::None, ..QUIET };

/// Every write that fails counts.
const FAILED: &[(&str, Moves)] = &[("/totals/influx_err", Moves::Up), ("/totals/influx_flushes", Moves::Up)];

async fn goes_through(
    world: World,
    outage: &Outage,
    make: impl AsyncFnOnce(&mut Scene),
    end: impl AsyncFnOnce(&mut Scene),
) {
    let node = world.node();
    Scene::new(world, node).await.goes_through(outage, make, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn influxdb_refuses_the_token() {
    const OUTAGE: Outage = Outage {
        name: "InfluxDB answers 401",
        notes: &[
            "influx: 5 tenants' databases do not take writes now, their points are kept: it does not accept the token",
        ],
        metrics: &[
            ("ingest_influx_requests_total", &[("status", "401")], Moves::Up),
            ("ingest_influx_breakers_open", &[], Moves::Up),
            ("ingest_influx_unconfirmed_lines", &[], Moves::Is(20.0)),
            ("ingest_postgres_rows_total", &[], Moves::Is(40.0)),
        ],
        stats: FAILED,
        log: "it does not accept the token",
        ..OWED
    };
    let make = async |scene: &mut Scene| scene.world.influx.set_token("another");
    let end = async |scene: &mut Scene| scene.world.influx.set_token("apiv3_test");
    goes_through(World::new().await, &OUTAGE, make, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn influxdb_hangs() {
    const OUTAGE: Outage = Outage {
        name: "InfluxDB hangs",
        notes: &["influx: 5 tenants' databases do not take writes now, their points are kept: it does not answer"],
        metrics: &[
            ("ingest_influx_unconfirmed_lines", &[], Moves::Is(20.0)),
            ("ingest_postgres_rows_total", &[], Moves::Is(40.0)),
        ],
        log: "influxdb has not answered for 5 s",
        ..OWED
    };
    let make = async |scene: &mut Scene| scene.world.influx.hang(None);
    let end = async |scene: &mut Scene| scene.world.influx.release();
    goes_through(World::new().await, &OUTAGE, make, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn influxdb_is_full() {
    const OUTAGE: Outage = Outage {
        name: "InfluxDB has no room for another database",
        notes: &[
            "influx: 5 tenants' databases do not take writes now, their points are kept: ",
            "no room for another database",
        ],
        metrics: &[
            ("ingest_influx_limit_refusals_total", &[("limit", "databases")], Moves::Up),
            ("ingest_influx_unconfirmed_lines", &[], Moves::Is(20.0)),
        ],
        stats: FAILED,
        log: "no room for another database",
        ..OWED
    };
    let world = World::beside(InfluxStub::builder().database_limit(0).start()).await;
    let node = world.node();
    let end = async |scene: &mut Scene| scene.world.influx.set_database_limit(5);
    Scene::idle(world, node).await.goes_through(&OUTAGE, async |_| {}, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_for_files_is_full() {
    const OUTAGE: Outage = Outage {
        name: "the disk for files is full",
        notes: &["influx: 5 tenants' databases do not take writes now, their points are kept: ", "the disk is full"],
        metrics: &[("ingest_influx_unconfirmed_lines", &[], Moves::Is(20.0))],
        stats: FAILED,
        log: "the disk is full",
        ..OWED
    };
    let (world, dir) = (World::new().await, tempfile::tempdir().expect("a directory"));
    let mut disk = SmallDisk::at(&dir.path().join("data"));
    let node =
        world.node().dir(dir.path()).env("INFLUXDB_API", "files").env("INFLUXDB_URL", "").env("INFLUXDB_TOKEN", "");
    let mut scene = Scene::idle(world, disk.beneath(node)).await;
    disk.find(scene.node.pid());
    let files: Vec<_> =
        (0..5).map(|tenant| format!("line-protocol/{}/current.lp", database(&format!("tenant-{tenant}")))).collect();
    scene.has_points = false;
    scene.goes_through(&OUTAGE, async |_| disk.fill(&files), async |_| disk.make_room(&files)).await;
    let lines = files.iter().map(|file| disk.read(file).lines().count());
    assert_eq!(lines.sum::<usize>(), 20, "every point, once each");
}

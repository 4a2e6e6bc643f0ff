//! Points in files: a node that dies leaves none of them out, and no half of one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use ingest_kit::influx::parse_line;

use crate::workload::{Workload, database};
use crate::world::{DEADLINE, LANES, World, drain, start};

const MESSAGES: usize = 1_500;

/// A point's tags and its time.
type PointKey = (BTreeMap<String, String>, i64);

/// All points below a directory, each of its lines a whole one, and how many lines there are.
fn points_below(directory: &Path) -> (BTreeSet<PointKey>, usize) {
    let (mut points, mut count) = (BTreeSet::new(), 0);
    for database in fs::read_dir(directory).expect("the databases").map(|entry| entry.expect("a database").path()) {
        for file in fs::read_dir(database).expect("the files").map(|entry| entry.expect("a file").path()) {
            let text = fs::read_to_string(&file).expect("UTF-8");
            assert!(text.is_empty() || text.ends_with('\n'), "{} ends within a line", file.display());
            for line in text.lines() {
                let point = parse_line(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", file.display()));
                assert_eq!(point.fields.len(), 6, "{line}");
                points.insert((point.tags, point.time_ns));
                count += 1;
            }
        }
    }
    (points, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_while_it_writes_files_leaves_no_line_out() {
    let world = World::new().await;
    world.create_quickly_redelivering_consumers().await;
    let load = Workload::good(MESSAGES);
    load.seed(&world).await;
    world.publish(load.messages.clone()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let node = world.missed_node().env("INFLUXDB_URL", "").env("BATCH_SIZE", 100).dir(dir.path());
    let files = dir.path().join("data/line-protocol");
    for failpoint in ["batcher=kill@3", "batcher-answered=kill@4"] {
        let mut dying = node.clone().env("INGEST_FAILPOINTS", failpoint).start();
        assert_eq!(dying.wait_exit(DEADLINE).await, None, "it was to be killed: {}", dying.log());
        // As a machine that went down in the middle of a write.
        let torn = files.join(database("tenant-0")).join("current.lp");
        fs::create_dir_all(torn.parent().expect("a directory")).expect("a directory");
        let mut file = OpenOptions::new().append(true).create(true).open(torn).expect("the file");
        file.write_all(b"telemetry,device_id=dev-0000,site_id=site-1 seq=77").expect("half a line");
    }
    let last = start(node).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    world.wait_nothing_owed().await;
    drain(last).await;
    let (points, count) = points_below(&files);
    assert_eq!(points.len(), MESSAGES, "different points among {count} lines");
}

//! A roll-out and its way back, with real processes in the order in which Kubernetes does it: the schema first, beside the old
//! nodes (a Job before the upgrade); then one node more than wanted, and when that is ready an old one is asked to end.

use std::time::Duration;

use ingest_kit::envelope::device;
use ingest_kit::seed;
use ingest_kit::seed::Device;
use ingest_kit::{Node, wait_for};

use crate::ledger::assert_balanced;
use crate::traffic::Traffic;
use crate::world::{DEADLINE, LANES, World, migrate};

/// A few messages come only after this time: those that nats-server sends while it processes that a node pulls no more.
const ACK_WAIT: Duration = Duration::from_secs(10);

/// The nodes of a Deployment with `maxSurge: 1` and `maxUnavailable: 0`.
struct Deployment<'a> {
    world: &'a World,
    nodes: Vec<Node>,
    /// Rows that came a second time, over all nodes that there were.
    duplicates: u64,
    stored: u64,
}

impl<'a> Deployment<'a> {
    async fn new(world: &'a World, replicas: usize) -> Self {
        let mut deployment = Self { world, nodes: Vec::new(), duplicates: 0, stored: 0 };
        for _ in 0..replicas {
            deployment.nodes.push(world.start_node().await);
        }
        deployment
    }

    /// Every node is replaced, one after the other; each new one has its share before the next old one goes.
    async fn rolls(&mut self) {
        for _ in 0..self.nodes.len() {
            let new = self.world.start_node().await;
            let old = self.nodes.remove(0);
            self.nodes.push(new);
            self.ends(old).await;
            let new = self.nodes.last().expect("the new one");
            wait_for("the new node to store rows", DEADLINE, async || {
                new.metrics().await.count("ingest_postgres_rows_total", &[]) > 0
            })
            .await;
        }
    }

    /// SIGTERM: no longer ready at once, then drained within its time.
    async fn ends(&mut self, mut node: Node) {
        let metrics = node.metrics().await;
        assert_balanced(&metrics);
        self.duplicates += metrics.count("ingest_postgres_duplicates_suppressed_total", &[]);
        self.stored += metrics.count("ingest_postgres_rows_total", &[]);
        node.sigterm();
        wait_for("the node to be ready no more", DEADLINE, async || node.ready_status().await != Some(200)).await;
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "{}", node.log());
    }

    async fn all_end(&mut self) {
        for node in std::mem::take(&mut self.nodes) {
            self.ends(node).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_out_and_its_way_back_lose_nothing_and_bring_nothing_twice() {
    let world = World::new().await;
    world.create_consumers(ACK_WAIT, 60_000).await;
    let devices: Vec<Device> = (0..20).map(|number| device(number, 4)).collect();
    seed::devices(&world.database, &devices).await;
    let mut deployment = Deployment::new(&world, 2).await;
    let traffic = Traffic::of(&world, devices, 0);

    // What the Job of a newer version does beside the old nodes: a column more, and its line in the history.
    migrate(&world.database).await;
    let history = "ingest_node_schema_history";
    let newer = format!(
        "BEGIN; ALTER TABLE raw_events ADD COLUMN later text;
         INSERT INTO {history} SELECT max(version) + 1, 'later', 'now', '1' FROM {history}; COMMIT"
    );
    world.database.execute(&newer).await;
    deployment.rolls().await;

    // Back: the version before, which starts on the newer schema. Its `migrate`, where it runs again, changes nothing.
    migrate(&world.database).await;
    deployment.rolls().await;

    let published = traffic.stop().await;
    world.wait_settled(LANES[0], ACK_WAIT + DEADLINE).await;
    deployment.all_end().await;
    let database = &world.database;
    assert_eq!(database.count("raw_events").await, published, "rows, of so many messages");
    assert_eq!(database.count("(SELECT DISTINCT seq FROM raw_events) AS seqs").await, published, "messages stored");
    assert_eq!(database.count("quarantine_events").await, 0, "rejections");
    assert_eq!(deployment.duplicates, 0, "delivered again after their commit");
    assert!(deployment.stored <= published, "more rows than messages");
}

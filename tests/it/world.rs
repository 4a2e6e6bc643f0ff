//! Test environment of a node: broker, database, InfluxDB, and the node itself.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::pull;
use deadpool_postgres::Pool;
use ingest_kit::influx::TypeScope;
use ingest_kit::jetstream::{Outgoing, consumer_info, create_streams, publish_all};
use ingest_kit::{Database, InfluxStub, Nats, Node, NodeBuilder, Postgres, seed, wait_for};
use ingest_node::testing::postgres;
use ingest_node::testing::postgres::connector::Connector;
use ingest_node::testing::postgres::pool::pool;
use tokio::sync::OnceCell;
use tokio_postgres::Client;

/// Long enough for anything that works, also on a busy machine; nothing that works waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The three lanes: stream and durable consumer.
pub(crate) const LANES: [(&str, &str); 3] =
    [("TELEMETRY", "ingest-workers"), ("SHADOW", "ingest-shadow"), ("COMMANDS", "ingest-commands")];

/// The program under test.
pub(crate) fn node() -> NodeBuilder {
    Node::builder(env!("CARGO_BIN_EXE_ingest-node"))
}

/// Broker, database and InfluxDB of one test; nodes are started upon them.
pub(crate) struct World {
    pub nats: Nats,
    /// The test's own cluster where it stops or kills it; else the shared one serves.
    pub postgres: Option<Postgres>,
    pub database: Database,
    pub influx: InfluxStub,
    pub jetstream: Context,
}

impl World {
    /// A world with a database of its own on the shared cluster.
    pub(crate) async fn new() -> Self {
        Self::beside(InfluxStub::start()).await
    }

    /// As [`World::new`], with column types in InfluxDB for each series alone.
    pub(crate) async fn with_types_per_series() -> Self {
        Self::beside(InfluxStub::builder().type_scope(TypeScope::Series).start()).await
    }

    /// A world with a cluster of its own, for tests that stop, kill or freeze it.
    pub(crate) async fn with_own_postgres() -> Self {
        let cluster = Postgres::start();
        let database = cluster.create_database().await;
        migrate(&database).await;
        Self::around(Nats::start(), Some(cluster), database, InfluxStub::start()).await
    }

    /// A world around servers and a migrated database of the test's own making.
    pub(crate) async fn on(nats: Nats, postgres: Option<Postgres>, database: Database) -> Self {
        Self::around(nats, postgres, database, InfluxStub::start()).await
    }

    /// A world around a broker of the test's own making.
    pub(crate) async fn with_nats(nats: Nats) -> Self {
        Self::around(nats, None, migrated_database().await, InfluxStub::start()).await
    }

    /// A world with another InfluxDB than the usual one.
    pub(crate) async fn beside(influx: InfluxStub) -> Self {
        Self::around(Nats::start(), None, migrated_database().await, influx).await
    }

    /// A world on the platform's full schema, and these statements after the node's migrations.
    pub(crate) async fn on_the_platform(statements: &str) -> Self {
        let database = Postgres::shared().create_database().await;
        seed::platform_schema(&database).await;
        migrate(&database).await;
        database.execute(statements).await;
        Self::around(Nats::start(), None, database, InfluxStub::start()).await
    }

    async fn around(nats: Nats, postgres: Option<Postgres>, database: Database, influx: InfluxStub) -> Self {
        let jetstream = nats.jetstream().await;
        // Rejections are stored and rate limits are high, unless a test sets otherwise.
        seed::app_settings(
            &database,
            &[("MODE", "DEV"), ("STORE_REJECTS", "1"), ("MAX_PAYLOAD_BYTES", "8192"), ("RATE_LIMIT_RPS", "0")],
        )
        .await;
        Self { nats, postgres, database, influx, jetstream }
    }

    /// A node of this world, to be started. Short flush intervals: tests wait for every one of them.
    pub(crate) fn node(&self) -> NodeBuilder {
        node()
            .env("NATS_URL", self.nats.url())
            .env("DATABASE_URL", self.database.url())
            .env("INFLUXDB_URL", self.influx.url())
            .env("INFLUXDB_TOKEN", "apiv3_test")
            .env("FLUSH_INTERVAL_MS", 20)
            .env("INFLUX_FLUSH_INTERVAL_MS", 20)
            .env("INGEST_WORKER_COUNT", 2)
            .env("SETTINGS_POLL_SECONDS", 1)
            .env("LOG_FORMAT", "text")
    }

    /// Starts a node and waits until it is ready.
    pub(crate) async fn start_node(&self) -> Node {
        start(self.node()).await
    }

    /// Creates the lanes' consumers with other settings than the node would choose; it binds to them.
    pub(crate) async fn create_consumers(&self, ack_wait: Duration, max_ack_pending: i64) {
        self.create_consumers_like(pull::Config { ack_wait, max_ack_pending, ..Default::default() }).await;
    }

    /// As [`World::create_consumers`], with any settings.
    pub(crate) async fn create_consumers_like(&self, config: pull::Config) {
        create_streams(&self.jetstream).await;
        for (stream, consumer) in LANES {
            let config = pull::Config { durable_name: Some(consumer.to_owned()), ..config.clone() };
            let created = self.jetstream.create_consumer_on_stream(config, stream).await;
            created.unwrap_or_else(|e| panic!("cannot create {consumer}: {e}"));
        }
    }

    /// Consumers with an ack wait of three seconds: deliveries of a killed node are redelivered soon.
    pub(crate) async fn create_quickly_redelivering_consumers(&self) {
        self.create_consumers(Duration::from_secs(3), 60_000).await;
    }

    /// Publishes messages in order and returns their stream sequences.
    pub(crate) async fn publish(&self, messages: impl IntoIterator<Item = Outgoing>) -> Vec<u64> {
        publish_all(&self.jetstream, messages).await
    }

    /// Whether every message of a lane has been delivered and settled for good.
    pub(crate) async fn is_settled(&self, (stream, consumer): (&str, &str)) -> bool {
        let Some(info) = consumer_info(&self.jetstream, stream, consumer).await else { return false };
        let Ok(stream) = self.jetstream.get_stream(stream).await else { return false };
        info.num_pending == 0
            && info.num_ack_pending == 0
            && info.delivered.stream_sequence >= stream.cached_info().state.last_sequence
    }

    /// Waits until every message of a lane has been settled for good.
    pub(crate) async fn wait_settled(&self, lane: (&str, &str), deadline: Duration) {
        wait_for(&format!("all of {} to be settled", lane.0), deadline, async || self.is_settled(lane).await).await;
    }
}

/// Starts a node and waits until it is ready.
pub(crate) async fn start(node: NodeBuilder) -> Node {
    let mut node = node.start();
    node.wait_ready(DEADLINE).await;
    node
}

/// Drains a node and checks that it exits with 0 in time.
pub(crate) async fn drain(mut node: Node) {
    node.sigterm();
    let code = node.wait_exit(DEADLINE).await;
    assert_eq!(code, Some(0), "the exit code of a drain");
}

/// A database with the node's schema. Migrated once, copied for every test.
async fn migrated_database() -> Database {
    static TEMPLATE: OnceCell<Database> = OnceCell::const_new();
    let cluster = Postgres::shared();
    let template = TEMPLATE.get_or_init(async || {
        let database = cluster.create_database().await;
        migrate(&database).await;
        database
    });
    cluster.create_database_like(template.await.name()).await
}

/// Runs `ingest-node migrate`.
pub(crate) async fn migrate(database: &Database) {
    let run = node().arguments(&["migrate"]).env("DATABASE_URL", database.url());
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "ingest-node migrate: {}{}", finished.stdout, finished.stderr);
}

/// A session as the node's commands have one.
pub(crate) async fn open(config: &postgres::Config) -> Client {
    let connector = Connector::new(config).expect("settings that work");
    connector.open(Duration::from_secs(30)).await.expect("a session")
}

/// The node's pool.
pub(crate) fn pool_of(config: &postgres::Config) -> Pool {
    pool(config, &Connector::new(config).expect("settings that work")).expect("a pool")
}

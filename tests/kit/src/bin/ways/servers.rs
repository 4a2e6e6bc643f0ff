//! The servers of a run: NATS with its MQTT listener, a durable PostgreSQL with registered devices, Mosquitto.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::Context;
use ingest_kit::envelope::device;
use ingest_kit::jetstream::create_streams;
use ingest_kit::seed::{self, Device};
use ingest_kit::{Database, Mosquitto, Nats, Node, NodeBuilder, Postgres, free_port, procfs};

use crate::DEADLINE;

/// Tenants that the devices belong to.
const TENANTS: usize = 20;

/// Servers, and devices that may send.
pub(crate) struct Servers {
    pub program: PathBuf,
    pub nats: Nats,
    /// nats-server's own MQTT listener.
    pub nats_mqtt_port: u16,
    pub mosquitto: Mosquitto,
    pub jetstream: Context,
    pub database: Database,
    pub devices: Vec<Device>,
    _postgres: Postgres,
}

impl Servers {
    pub(crate) async fn start(program: &Path, devices: usize) -> Self {
        let nats_mqtt_port = free_port();
        let mqtt = format!("server_name: ways\nmqtt {{ listen: \"127.0.0.1:{nats_mqtt_port}\" }}\n");
        let nats = Nats::start_configured(&mqtt);
        let postgres = Postgres::builder().durable(true).bench().start();
        let database = postgres.create_database().await;
        let migrate = Node::builder(program).arguments(&["migrate"]).env("DATABASE_URL", database.url());
        assert_eq!(migrate.run_to_end(DEADLINE).await.code, Some(0), "ingest-node migrate");
        // Everything comes far faster than devices may send.
        seed::app_settings(&database, &[("RATE_LIMIT_RPS", "0")]).await;
        let devices: Vec<Device> = (0..devices).map(|number| device(number, TENANTS)).collect();
        seed::devices(&database, &devices).await;
        let jetstream = nats.jetstream().await;
        create_streams(&jetstream).await;
        let mosquitto = Mosquitto::start_configured("allow_anonymous true");
        Self {
            program: program.to_owned(),
            nats,
            nats_mqtt_port,
            mosquitto,
            jetstream,
            database,
            devices,
            _postgres: postgres,
        }
    }

    fn program(&self, arguments: &[&str]) -> NodeBuilder {
        Node::builder(&self.program)
            .arguments(arguments)
            .env("NATS_URL", self.nats.url())
            .env("DATABASE_URL", self.database.url())
            .env("INFLUXDB_WRITE_ENABLED", 0)
    }

    /// A gateway, and where its HTTP is.
    pub(crate) fn gateway(&self) -> (NodeBuilder, String) {
        let address = format!("127.0.0.1:{}", free_port());
        // One client sends for all devices.
        let gateway = self
            .program(&["gateway"])
            .env("INGEST_HTTP_BIND", &address)
            .env("INGEST_ADDRESS_RPS", 1_000_000)
            .env("INGEST_TOTAL_RPS", 10_000_000);
        (gateway, address)
    }

    /// A node.
    pub(crate) fn node(&self) -> NodeBuilder {
        self.program(&["run"])
    }

    /// How many messages a stream has taken.
    pub(crate) async fn taken(&self, stream: &str) -> u64 {
        self.jetstream.get_stream(stream).await.expect("the stream").cached_info().state.last_sequence
    }

    /// Makes the stream again: it counts from 1 again.
    pub(crate) async fn empty(&self, stream: &str) {
        self.jetstream.delete_stream(stream).await.expect("the stream is deleted");
        create_streams(&self.jetstream).await;
    }
}

/// CPU time that a program has used.
pub(crate) fn cpu(node: &Node) -> Duration {
    procfs::cpu_time(node.pid()).unwrap_or_default()
}

/// Its peak memory, in MiB.
pub(crate) fn peak_mib(node: &Node) -> u64 {
    procfs::peak_rss_bytes(node.pid()).unwrap_or_default() >> 20
}

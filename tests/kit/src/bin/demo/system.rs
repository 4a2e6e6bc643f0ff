//! The demonstration's servers and programs.

use std::path::{Path, PathBuf};

use ingest_kit::{Database, Mosquitto, MqttDevice, Nats, Node, NodeBuilder, Postgres, free_port};

use crate::{DEADLINE, folder, setting};

/// Not a secret: everything listens on loopback, for as long as the demonstration takes.
const ADMIN_KEY: &str = "9f2c61d07be84a35b1c8e6f4027d93aa5e10c7b46d8f3921";

/// What runs.
pub(crate) struct System {
    pub node: Node,
    pub gateway: Node,
    pub nats: Nats,
    pub database: Database,
    /// Where the gateway's HTTP is.
    pub http: String,
    mosquitto: Mosquitto,
    postgres: Postgres,
    nats_mqtt: String,
    admin: String,
    program: PathBuf,
    dir: PathBuf,
}

impl System {
    /// Starts everything, and waits until node and gateway are ready.
    pub(crate) async fn start(program: &Path, dir: &Path) -> Self {
        let local = || format!("127.0.0.1:{}", free_port());
        let (nats_mqtt_port, admin, http) = (free_port(), local(), local());
        let nats_mqtt = format!("127.0.0.1:{nats_mqtt_port}");
        let nats_dir = folder(dir, "nats");
        let mqtt = format!("server_name: demo\nmqtt {{ listen: \"{nats_mqtt}\" }}\n");
        std::fs::write(nats_dir.join("nats-server.conf"), mqtt).expect("a configuration file");
        let nats = Nats::start_in(&nats_dir);
        // nats-server makes its stream of MQTT messages for its first MQTT client.
        drop(MqttDevice::connect(nats_mqtt_port, "first", None).expect("nats-server's MQTT listener"));
        let mosquitto = Mosquitto::start_configured("allow_anonymous true");
        let postgres = start_postgres(dir);
        let database = postgres.create_database().await;
        let migrate = program_on(program, &nats, &database).arguments(&["migrate"]).run_to_end(DEADLINE).await;
        assert_eq!(migrate.code, Some(0), "ingest-node migrate: {}", migrate.stderr);

        let mut node = node(program_on(program, &nats, &database), &admin).dir(&folder(dir, "node")).start();
        node.wait_ready(DEADLINE).await;
        let mut gateway =
            gateway(program_on(program, &nats, &database), &http, &mosquitto).dir(&folder(dir, "gateway")).start();
        gateway.wait_ready(DEADLINE).await;
        let (program, dir) = (program.to_owned(), dir.to_owned());
        Self { node, gateway, nats, database, http, mosquitto, postgres, nats_mqtt, admin, program, dir }
    }

    fn program(&self) -> NodeBuilder {
        program_on(&self.program, &self.nats, &self.database)
    }

    /// `doctor`, with the settings of node and gateway.
    pub(crate) fn doctor(&self) -> NodeBuilder {
        gateway(node(self.program(), &self.admin), &self.http, &self.mosquitto)
            .env("HTTP_BIND", self.node.address())
            .dir(&self.dir.join("node"))
            .arguments(&["doctor"])
    }

    /// A fleet that takes one way in.
    pub(crate) fn simulate(&self, via: &str) -> NodeBuilder {
        let share = if via == "nats" { 1 } else { 10 };
        let of = |name, default| (setting(name, default) / share).to_string();
        let (messages, rate, devices) =
            (of("DEMO_MESSAGES", 50_000), of("DEMO_RATE", 5_000), of("DEMO_DEVICES", 1_000));
        let tenants = setting("DEMO_TENANTS", 5).to_string();
        let mosquitto = format!("127.0.0.1:{}", self.mosquitto.port());
        let mqtt = if via == "mqtt" { &mosquitto } else { &self.nats_mqtt };
        let (gateway, admin) = (format!("http://{}", self.http), format!("http://{}", self.admin));
        let mut arguments = vec!["simulate", "--via", via, "--bad-share", "0.01"];
        arguments.extend(["--messages", &messages, "--rate", &rate, "--devices", &devices, "--tenants", &tenants]);
        match via {
            "nats" => arguments.push("--lift-rate-limit"),
            _ => arguments.extend(["--admin", &admin, "--gateway", &gateway, "--mqtt", mqtt]),
        }
        self.program().env("ADMIN_KEY", ADMIN_KEY).arguments(&arguments)
    }

    /// Stops the servers.
    pub(crate) fn stop(&mut self) {
        self.mosquitto.stop();
        self.postgres.stop();
        self.nats.stop();
    }
}

fn program_on(program: &Path, nats: &Nats, database: &Database) -> NodeBuilder {
    Node::builder(program)
        .env("NATS_URL", nats.url())
        .env("DATABASE_URL", database.url())
        .env("INFLUXDB_API", "files")
        .env("LOG_FORMAT", "text")
}

fn node(program: NodeBuilder, admin: &str) -> NodeBuilder {
    program.env("NATS_MQTT", 1).env("ADMIN_BIND", admin).env("ADMIN_KEY", ADMIN_KEY)
}

fn gateway(program: NodeBuilder, http: &str, mosquitto: &Mosquitto) -> NodeBuilder {
    program
        .arguments(&["gateway"])
        .env("INGEST_HTTP_BIND", http)
        .env("MQTT_HOST", "127.0.0.1")
        .env("MQTT_PORT", mosquitto.port())
}

fn start_postgres(dir: &Path) -> Postgres {
    let dir = dir.join("postgres");
    let builder = Postgres::builder().durable(true);
    if Postgres::can_live_in(&dir) {
        builder.dir(&dir).start()
    } else {
        println!("PostgreSQL cannot enter {}: it lies in a temporary directory instead", dir.display());
        builder.start()
    }
}

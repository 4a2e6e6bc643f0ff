//! The registry with a real PostgreSQL: look-ups, notified changes, settings, outages, auto-provisioning.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::prelude::*;
use ingest_kit::{Database, Postgres, seed, wait_for, wait_for_value};
use ingest_node::core::device::{Device, DeviceKey, Lookup, Subscription, TokenHash};
use ingest_node::core::settings::{Mode, Settings};
use ingest_node::health::Health;
use ingest_node::lifeline::{Death, Lifeline, Pulse};
use ingest_node::message::{Drain, Invalidate, Resolve, Resolved, SettingsChanged, Subscribe};
use ingest_node::metrics::Metrics;
use ingest_node::registry::{Config, Parts, Registry};
use ingest_node::sink::postgres::{Config as Postgresql, pool, schema};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const SOON: Duration = Duration::from_secs(20);

/// A registry, and somebody who asks and listens.
struct Bench {
    registry: Addr<Registry>,
    asker: Addr<Asker>,
    heard: Heard,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    _deaths: UnboundedReceiver<Death>,
}

/// What the asker was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    devices: BTreeMap<DeviceKey, Lookup>,
    routes: BTreeMap<String, usize>,
    answers: usize,
    invalid: Vec<Invalidate>,
    settings: Vec<Arc<Settings>>,
}

struct Asker(Heard);

impl Actor for Asker {
    type Context = Context<Self>;
}

impl Handler<Resolved> for Asker {
    type Result = ();
    fn handle(&mut self, resolved: Resolved, _: &mut Self::Context) {
        let mut told = self.0.0.lock().unwrap();
        told.answers += resolved.devices.len();
        told.devices.extend(resolved.devices);
        told.routes.extend(resolved.routes.iter().map(|(tenant, routes)| (tenant.to_string(), routes.len())));
    }
}

impl Handler<Invalidate> for Asker {
    type Result = ();
    fn handle(&mut self, invalid: Invalidate, _: &mut Self::Context) {
        self.0.0.lock().unwrap().invalid.push(invalid);
    }
}

impl Handler<SettingsChanged> for Asker {
    type Result = ();
    fn handle(&mut self, settings: SettingsChanged, _: &mut Self::Context) {
        self.0.0.lock().unwrap().settings.push(settings.0);
    }
}

impl Bench {
    fn new(database: &Database) -> Self {
        Self::with(database, Config { settings_poll_secs: 1, ..Config::default() })
    }

    fn with(database: &Database, config: Config) -> Self {
        let postgres = settings_of(database);
        let (metrics, health) = (Metrics::new(), Health::new());
        let (deaths, died) = unbounded_channel();
        let heard = Heard::default();
        let asker = Asker(heard.clone()).start();
        let registry = Registry::new(Parts {
            config,
            connection: pool::connection_config(&postgres).unwrap(),
            pool: pool::pool(&postgres).unwrap(),
            newcomers: None,
            settings_readers: Vec::new(),
            metrics: metrics.clone(),
            health: health.clone(),
            log: slog::Logger::root(slog::Discard, slog::o!()),
            lifeline: Lifeline::new("registry", 1, deaths, Arc::new(Pulse::default())),
        })
        .start();
        let (invalidations, settings) = (asker.clone().recipient(), asker.clone().recipient());
        registry.do_send(Subscribe { invalidations, settings });
        Self { registry, asker, heard, health, metrics, _deaths: died }
    }

    fn ask(&self, devices: &[(&str, &str, &str)]) {
        let devices =
            devices.iter().map(|(tenant, device, site)| (DeviceKey::new(tenant, device), (*site).to_owned())).collect();
        self.registry.do_send(Resolve { devices, reply_to: self.asker.clone().recipient() });
    }

    async fn lookup(&self, tenant: &str, device: &str) -> Lookup {
        self.lookup_at(tenant, device, "site-1").await
    }

    async fn lookup_at(&self, tenant: &str, device: &str, site: &str) -> Lookup {
        let key = DeviceKey::new(tenant, device);
        self.heard.0.lock().unwrap().devices.remove(&key);
        self.ask(&[(tenant, device, site)]);
        let answer = async || self.heard.0.lock().unwrap().devices.get(&key).cloned();
        wait_for_value("an answer", SOON, answer).await
    }

    async fn found(&self, tenant: &str, device: &str) -> Arc<Device> {
        match self.lookup(tenant, device).await {
            Lookup::Found(device) => device,
            other => panic!("{tenant}/{device}: {other:?}"),
        }
    }

    /// Waits until the registry hears changes.
    async fn listening(&self) {
        wait_for("the registry to listen", SOON, async || {
            self.heard.0.lock().unwrap().invalid.iter().any(|invalid| matches!(invalid, Invalidate::All))
        })
        .await;
        self.heard.0.lock().unwrap().invalid.clear();
    }

    async fn next_invalid(&self) -> Invalidate {
        let next = async || {
            let mut told = self.heard.0.lock().unwrap();
            (!told.invalid.is_empty()).then(|| told.invalid.remove(0))
        };
        wait_for_value("an invalidation", SOON, next).await
    }

    async fn settings(&self, what: &str, holds: impl Fn(&Settings) -> bool) {
        wait_for(what, SOON, async || self.heard.0.lock().unwrap().settings.last().is_some_and(|last| holds(last)))
            .await;
    }
}

fn settings_of(database: &Database) -> Postgresql {
    Postgresql { url: ingest_node::secret::Secret::new(database.url()), ..Postgresql::default() }
}

async fn migrated(cluster: &Postgres) -> Database {
    let database = cluster.create_database().await;
    let connection = pool::connection_config(&settings_of(&database)).unwrap();
    schema::migrate(&mut pool::connect(&connection).await.unwrap()).await.unwrap();
    database
}

#[actix::test]
async fn a_look_up_brings_everything_that_validation_needs() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, status) VALUES ('s', 'acme', 'SUSPENDED');
             INSERT INTO device_tiers (tier_id, default_sensor_limit) VALUES (7, 33);
             INSERT INTO device_registry (tenant_id, device_id, site_id, status, provision_token_hash, subscription_id,
                 sensor_limit, tier_id, location_source) VALUES
                 ('acme', 'full', 'lab', 'ACTIVE', repeat('Ab', 32), 's', NULL, 7, 'manual'),
                 ('acme', 'bare', 'lab', 'PENDING', NULL, NULL, NULL, NULL, NULL),
                 ('acme', 'own-limit', 'lab', 'ACTIVE', 'no hash', 'gone', 5, 7, 'auto');
             INSERT INTO device_certificates (tenant_id, device_id, common_name, status, not_after) VALUES
                 ('acme', 'full', 'acme/full', 'ACTIVE', '2030-01-01 00:00+00'),
                 ('acme', 'full', 'acme/full', 'ACTIVE', '2029-01-01 00:00+00'),
                 ('acme', 'full', 'acme/full', 'REVOKED', '2040-01-01 00:00+00'),
                 ('acme', 'full', 'acme/other', 'ACTIVE', '2040-01-01 00:00+00'),
                 ('acme', 'own-limit', 'acme/own-limit', 'ACTIVE', 'infinity');
             INSERT INTO device_modules (tenant_id, device_id, slot_key, metric_key_map, status) VALUES
                 ('acme', 'full', 'a', '{\"p1\": \"pressure\", \"x\": \"y\"}', 'active'),
                 ('acme', 'full', 'b', '{\"x\": \"z\"}', 'active'),
                 ('acme', 'full', 'c', '{\"p1\": \"power\"}', 'removed');
             INSERT INTO message_routes (tenant_id, topic_filter, is_enabled) VALUES ('acme', '#', true), ('acme', '#', false);",
        )
        .await;
    let bench = Bench::new(&database);
    let full = bench.found("acme", "full").await;
    assert_eq!((full.site_id.as_str(), full.active, full.subscription), ("lab", true, Subscription::Suspended));
    assert_eq!(full.token_hash, Some(TokenHash([0xab; 32])));
    assert_eq!(full.certificate_until_us, Some(1_893_456_000_000_000));
    assert_eq!((full.sensor_limit, full.location_is_auto), (33, false));
    assert_eq!((full.metric_keys.get("p1"), full.metric_keys.get("x")), (Some("pressure"), Some("z")));
    assert_eq!(bench.heard.0.lock().unwrap().routes, BTreeMap::from([("acme".to_owned(), 1)]));

    let bare = bench.found("acme", "bare").await;
    assert_eq!((bare.active, bare.subscription), (false, Subscription::Passes));
    assert_eq!((bare.token_hash, bare.certificate_until_us, bare.sensor_limit), (None, None, 20));
    assert!(bare.location_is_auto && bare.metric_keys.is_empty());

    let own_limit = bench.found("acme", "own-limit").await;
    assert_eq!((own_limit.sensor_limit, own_limit.token_hash), (5, None));
    assert!(own_limit.certificate_until_us > full.certificate_until_us);

    assert!(matches!(bench.lookup("acme", "ghost").await, Lookup::Unknown));
    assert!(matches!(bench.lookup("nobody", "full").await, Lookup::Unknown));
    assert_eq!(
        bench.heard.0.lock().unwrap().routes.get("nobody"),
        Some(&0),
        "a tenant without routes has an entry too"
    );
}

#[actix::test]
async fn thousands_of_devices_are_looked_up_in_few_questions_and_each_is_answered() {
    let database = migrated(Postgres::shared()).await;
    let insert = "INSERT INTO device_registry (tenant_id, device_id, site_id)
                  SELECT 't' || i % 7, 'd' || i, 's' FROM generate_series(0, 9999) i WHERE i % 10 <> 0";
    database.execute(insert).await;
    let bench = Bench::new(&database);
    let devices: Vec<(String, String)> = (0..10_000).map(|i| (format!("t{}", i % 7), format!("d{i}"))).collect();
    for chunk in devices.chunks(100) {
        bench.ask(&chunk.iter().map(|(tenant, device)| (tenant.as_str(), device.as_str(), "s")).collect::<Vec<_>>());
    }
    wait_for("all answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 10_000).await;
    let told = bench.heard.0.lock().unwrap();
    let found = told.devices.values().filter(|lookup| matches!(lookup, Lookup::Found(_))).count();
    assert_eq!((found, told.answers), (9_000, 10_000));
}

#[actix::test]
async fn a_change_is_told_within_moments() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    bench.listening().await;
    let client = database.connect().await;
    client
        .batch_execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's')")
        .await
        .unwrap();
    let changed = Instant::now();
    assert!(matches!(bench.next_invalid().await, Invalidate::Devices(keys) if *keys == [DeviceKey::new("a", "d")]));
    assert!(changed.elapsed() < Duration::from_secs(2), "{:?}", changed.elapsed());
    client.batch_execute("INSERT INTO message_routes (tenant_id) VALUES ('a')").await.unwrap();
    assert!(matches!(bench.next_invalid().await, Invalidate::Tenant(tenant) if *tenant == *"a"));
    client.batch_execute("INSERT INTO device_tiers (default_sensor_limit) VALUES (1)").await.unwrap();
    assert!(matches!(bench.next_invalid().await, Invalidate::All));
    client.batch_execute("NOTIFY ingest_invalidate, 'what?'").await.unwrap();
    assert!(matches!(bench.next_invalid().await, Invalidate::All), "what can't be read may be about anything");
}

/// The defaults, with the key that the migration has made.
fn are_defaults(settings: &Settings) -> bool {
    settings.replay_key.is_some() && Settings { replay_key: None, ..settings.clone() } == Settings::default()
}

#[actix::test]
async fn settings_are_told_at_once_and_a_bad_value_keeps_the_previous_one() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::with(&database, Config { settings_poll_secs: 3_600, ..Config::default() });
    bench.settings("the defaults", are_defaults).await;
    bench.listening().await;
    seed::app_settings(&database, &[("MODE", "DEV"), ("MAX_PAYLOAD_BYTES", "300")]).await;
    bench.settings("DEV", |settings| settings.mode == Mode::Dev && settings.max_payload_bytes == 300).await;
    seed::app_settings(&database, &[("MODE", "TEST"), ("MAX_PAYLOAD_BYTES", "400")]).await;
    bench.settings("400", |settings| settings.max_payload_bytes == 400).await;
    assert_eq!(bench.heard.0.lock().unwrap().settings.last().unwrap().mode, Mode::Dev);
}

#[actix::test]
async fn settings_are_polled_where_nobody_notifies() {
    let database = migrated(Postgres::shared()).await;
    let bench = Bench::new(&database);
    bench.settings("the defaults", are_defaults).await;
    let quietly = "SET ingest_node.quiet = 'on'; UPDATE app_settings SET value = '0' WHERE key = 'STORE_REJECTS'";
    database.execute(quietly).await;
    bench.settings("the change", |settings| !settings.store_rejects).await;
}

#[actix::test]
async fn an_outage_keeps_the_questions_and_is_told_and_its_end_too() {
    let mut cluster = Postgres::start();
    let database = migrated(&cluster).await;
    database.execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's')").await;
    let bench = Bench::new(&database);
    bench.found("a", "d").await;
    bench.listening().await;

    cluster.stop();
    assert!(matches!(bench.next_invalid().await, Invalidate::Reachable(false)));
    bench.heard.0.lock().unwrap().devices.clear();
    bench.ask(&[("a", "d", "s"), ("a", "e", "s")]);
    wait_for("failed look-ups", SOON, async || {
        bench.metrics.registry.lookups.of(ingest_node::metrics::LookupResult::Failed).get() >= 4
    })
    .await;
    assert!(bench.heard.0.lock().unwrap().devices.is_empty(), "nothing is answered that is not known");
    assert!(
        bench.health.ready().unwrap_err().iter().any(|why| why.starts_with("postgres: ") && !why.ends_with("starting"))
    );

    cluster.start_again();
    let back = Instant::now();
    wait_for("the answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 2).await;
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    bench.listening().await;
    let told = |told: &Told| told.devices.values().filter(|lookup| matches!(lookup, Lookup::Found(_))).count();
    assert_eq!(told(&bench.heard.0.lock().unwrap()), 1);
    assert!(!bench.health.ready().unwrap_err().iter().any(|why| why.starts_with("postgres: ")));
    database.execute("DELETE FROM device_registry").await;
    wait_for("a change to be heard again", SOON, async || {
        bench.heard.0.lock().unwrap().invalid.iter().any(|invalid| matches!(invalid, Invalidate::Devices(_)))
    })
    .await;
    bench.registry.send(Drain).await.unwrap();
}

#[actix::test]
async fn a_frozen_server_is_told_too() {
    let cluster = Postgres::start();
    let database = migrated(&cluster).await;
    let bench = Bench::new(&database);
    bench.listening().await;
    cluster.pause();
    assert!(matches!(bench.next_invalid().await, Invalidate::Reachable(false)));
    bench.ask(&[("a", "d", "s")]);
    cluster.resume();
    wait_for("the answer", SOON, async || !bench.heard.0.lock().unwrap().devices.is_empty()).await;
    let back = async || {
        bench.heard.0.lock().unwrap().invalid.iter().any(|invalid| matches!(invalid, Invalidate::Reachable(true)))
    };
    wait_for("the end of it to be told", SOON, back).await;
}

fn provisioning() -> Config {
    Config { auto_provision: true, ..Config::default() }
}

#[actix::test]
async fn unknown_devices_are_registered_as_far_as_there_is_room_and_counted_once_by_all_replicas() {
    let database = migrated(Postgres::shared()).await;
    let subscription = |id: &str, kind: &str, status: &str, limit: i32, count: i32| {
        format!(
            "INSERT INTO subscriptions (subscription_id, tenant_id, subscription_type, status, device_limit,
             active_device_count) VALUES ('{id}', 'ap', '{kind}', '{status}', {limit}, {count});"
        )
    };
    let subscriptions = [
        subscription("s1", "MAIN", "ACTIVE", 30, 0),
        subscription("s2", "MAIN", "ACTIVE", 25, 5),
        subscription("s3", "MAIN", "SUSPENDED", 100, 0),
        subscription("s4", "ADDON", "ACTIVE", 100, 0),
    ];
    database.execute(&subscriptions.concat()).await;
    let benches: Vec<Bench> = (0..3).map(|_| Bench::with(&database, provisioning())).collect();
    let names: Vec<String> = (0..80).map(|i| format!("d{i}")).collect();
    for chunk in names.chunks(8) {
        for bench in &benches {
            bench.ask(&chunk.iter().map(|name| ("ap", name.as_str(), "site-9")).collect::<Vec<_>>());
        }
    }
    for bench in &benches {
        wait_for("all answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 80).await;
        let told = bench.heard.0.lock().unwrap();
        let found = told.devices.values().filter(|lookup| matches!(lookup, Lookup::Found(_))).count();
        let no_room = told.devices.values().filter(|lookup| matches!(lookup, Lookup::NoCapacity)).count();
        assert_eq!((found, no_room), (50, 30));
    }
    let counts = database
        .query("SELECT subscription_id, active_device_count FROM subscriptions ORDER BY 1", &[])
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect::<Vec<(String, i32)>>();
    let expected = [("s1", 30), ("s2", 25), ("s3", 0), ("s4", 0)].map(|(id, count)| (id.to_owned(), count));
    assert_eq!(counts, expected);
    let registered = "device_registry WHERE tenant_id = 'ap' AND site_id = 'site-9' AND status = 'ACTIVE'";
    assert_eq!(database.count(registered).await, 50);
    assert_eq!(database.count("device_registry WHERE subscription_id = 's1'").await, 30);
    let made: u64 = benches.iter().map(|bench| bench.metrics.registry.provisioned.get()).sum();
    assert_eq!(made, 50);
}

#[actix::test]
async fn without_a_subscription_or_a_site_nothing_is_registered() {
    let database = migrated(Postgres::shared()).await;
    let room = "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'room', 5)";
    database.execute(room).await;
    let bench = Bench::with(&database, provisioning());
    assert!(matches!(bench.lookup("none", "d").await, Lookup::NoCapacity));
    assert!(matches!(bench.lookup_at("room", "d", "").await, Lookup::Unknown));
    assert!(matches!(bench.lookup_at("room", "d", "a\0b").await, Lookup::Unknown));
    assert!(matches!(bench.lookup("room", "d").await, Lookup::Found(_)));
    assert_eq!(database.count("device_registry").await, 1);
}

#[actix::test]
async fn a_tenant_whose_devices_can_not_be_registered_holds_up_no_other() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'bad', 5), ('t', 'good', 5);
             ALTER TABLE device_registry ADD CONSTRAINT known_tenants CHECK (tenant_id <> 'bad');",
        )
        .await;
    let bench = Bench::with(&database, provisioning());
    bench.ask(&[("bad", "d", "s"), ("good", "d", "s")]);
    wait_for("both answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 2).await;
    assert!(matches!(bench.lookup("bad", "d").await, Lookup::Unknown));
    assert!(matches!(bench.lookup("good", "d").await, Lookup::Found(_)));
    assert_eq!(database.count("subscriptions WHERE active_device_count = 0").await, 1);
}

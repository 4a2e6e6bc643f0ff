//! A device that can't be looked up, or not be registered, is answered by itself and costs no other its answer.

use ingest_core::message::device::{DeviceKey, Lookup};
use ingest_kit::{Database, Postgres, wait_for};
use ingest_node::testing::metrics::LookupResult;
use ingest_node::testing::registry::Config;

use super::{Bench, SOON, migrated};

/// Certificates of devices called `poison..` can't be read from now on: any question about one of them is refused.
pub(super) async fn poison_certificates(database: &Database) {
    database
        .execute(
            "ALTER TABLE device_certificates RENAME TO certificates;
             CREATE VIEW device_certificates AS
             SELECT id, tenant_id, device_id, common_name, status, not_before, revoked_at,
                    CASE WHEN device_id LIKE 'poison%' THEN now() + interval '1 s' * (1 / (id - id)) ELSE not_after END
                        AS not_after
             FROM certificates;
             INSERT INTO certificates (tenant_id, device_id, common_name, not_after)
             SELECT tenant_id, device_id, tenant_id || '/' || device_id, 'infinity' FROM device_registry;",
        )
        .await;
}

async fn ask_all(bench: &Bench, tenant: &str, devices: &[String]) {
    bench.ask(&devices.iter().map(|device| (tenant, device.as_str(), "s")).collect::<Vec<_>>());
    wait_for("all answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() >= devices.len()).await;
}

fn results(bench: &Bench) -> (usize, usize) {
    let told = bench.heard.0.lock().unwrap();
    let count = |is: fn(&Lookup) -> bool| told.devices.values().filter(|lookup| is(lookup)).count();
    (count(|lookup| matches!(lookup, Lookup::Found(_))), count(|lookup| matches!(lookup, Lookup::Invalid(_))))
}

#[actix::test]
async fn devices_that_can_not_be_looked_up_are_answered_and_cost_no_other_its_answer() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO device_registry (tenant_id, device_id, site_id)
             SELECT 'a', CASE WHEN i % 50 = 3 THEN 'poison' ELSE 'd' END || i, 's' FROM generate_series(0, 999) i",
        )
        .await;
    poison_certificates(&database).await;
    let bench = Bench::new(&database);
    let name = |i: i32| if i % 50 == 3 { format!("poison{i}") } else { format!("d{i}") };
    ask_all(&bench, "a", &(0..1_000).map(name).collect::<Vec<_>>()).await;
    assert_eq!(results(&bench), (980, 20));
    assert_eq!(bench.metrics.registry.lookups.of(LookupResult::Invalid).get(), 20);
    assert_eq!(bench.metrics.registry.lookups.of(LookupResult::Failed).get(), 0);
    let poison = bench.answer("a", "poison3").await;
    assert!(poison.tenant_is_registered && poison.is_final);
    assert!(bench.readiness.ready().is_err_and(|why| why.iter().all(|why| !why.starts_with("postgres"))));
}

#[actix::test]
async fn a_database_that_refuses_every_question_blames_no_device() {
    let database = migrated(Postgres::shared()).await;
    database.execute("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's')").await;
    database.execute("ALTER TABLE device_certificates RENAME COLUMN common_name TO cn").await;
    let bench = Bench::new(&database);
    bench.ask(&[("a", "d", "s"), ("a", "ghost", "s")]);
    wait_for("it to be told", SOON, async || {
        bench.readiness.ready().is_err_and(|why| why.iter().any(|why| why.starts_with("postgres: look-ups")))
    })
    .await;
    assert!(bench.heard.0.lock().unwrap().devices.is_empty());
    database.execute("ALTER TABLE device_certificates RENAME COLUMN cn TO common_name").await;
    wait_for("both answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == 2).await;
    assert_eq!(results(&bench), (1, 0));
}

#[actix::test]
async fn odd_values_in_a_row_are_read_as_what_they_can_only_mean() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "ALTER TABLE device_registry ALTER COLUMN site_id DROP NOT NULL, ALTER COLUMN sensor_limit TYPE numeric,
                 ALTER COLUMN status DROP NOT NULL;
             ALTER TABLE device_modules ALTER COLUMN metric_key_map DROP NOT NULL;
             INSERT INTO device_registry (tenant_id, device_id, site_id, status, sensor_limit, provision_token_hash) VALUES
                 ('a', 'no-site', NULL, 'ACTIVE', NULL, 'x'), ('a', 'no-status', 's', NULL, NULL, NULL),
                 ('a', 'many', 's', 'ACTIVE', 1e30, NULL), ('a', 'negative', 's', 'ACTIVE', -5, NULL),
                 ('a', 'nan', 's', 'ACTIVE', 'NaN', NULL), ('a', 'half', 's', 'ACTIVE', 7.5, NULL);
             INSERT INTO device_certificates (tenant_id, device_id, common_name, not_before, not_after)
             SELECT 'a', 'half', 'a/half', b::timestamptz, e::timestamptz FROM (VALUES
                 ('-infinity', '-infinity'), ('infinity', 'infinity'), (NULL, '4713-01-01 00:00+00 BC'),
                 ('2020-01-01 00:00+00', '294276-01-01 00:00+00')) v (b, e);
             INSERT INTO device_modules (tenant_id, device_id, slot_key, metric_key_map)
             SELECT 'a', 'half', n, m::jsonb FROM (VALUES ('1', NULL), ('2', '[1]'), ('3', '5'), ('4', '{\"x\": \"y\"}'))
                 v (n, m);",
        )
        .await;
    let bench = Bench::new(&database);
    assert_eq!(bench.found("a", "no-site").await.site_id, "");
    assert!(!bench.found("a", "no-status").await.active);
    assert_eq!(bench.found("a", "many").await.sensor_limit, i32::MAX as u32);
    assert_eq!(bench.found("a", "negative").await.sensor_limit, 0);
    assert_eq!(bench.found("a", "nan").await.sensor_limit, i32::MAX as u32);
    let half = bench.found("a", "half").await;
    assert_eq!((half.sensor_limit, half.metric_keys.get("x")), (8, Some("y")));
    assert!(half.has_certificate_at(1_800_000_000_000_000) && !half.has_certificate_at(1_500_000_000_000_000));
}

#[actix::test]
async fn settings_that_are_no_settings_stop_nothing() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "ALTER TABLE app_settings ALTER COLUMN value DROP NOT NULL, ALTER COLUMN value TYPE jsonb USING to_jsonb(value);
             UPDATE app_settings SET value = NULL WHERE key = 'MODE';
             UPDATE app_settings SET value = '{\"a\": 1}' WHERE key = 'RATE_LIMIT_RPS';
             UPDATE app_settings SET value = '300' WHERE key = 'MAX_PAYLOAD_BYTES';
             INSERT INTO app_settings (key, value) SELECT 'OTHER' || i, to_jsonb(repeat('x', 100000)) FROM generate_series(1, 50) i;
             INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'd', 's');",
        )
        .await;
    let bench = Bench::new(&database);
    bench.settings("what can be read", |settings| settings.max_payload_bytes == 300).await;
    bench.found("a", "d").await;
    database.execute("ALTER TABLE app_settings RENAME TO gone").await;
    wait_for("it to be told", SOON, async || {
        bench.readiness.messages().iter().any(|note| note.contains("app_settings"))
    })
    .await;
    bench.found("a", "d").await;
    assert!(
        bench.readiness.ready().is_err_and(|why| why.iter().all(|why| !why.starts_with("postgres"))),
        "no look-up fails"
    );
    database.execute("ALTER TABLE gone RENAME TO app_settings").await;
    wait_for("its end to be told", SOON, async || bench.readiness.messages().is_empty()).await;
}

fn provisioning() -> Config {
    Config { auto_provision: true, ..Config::default() }
}

#[actix::test]
async fn devices_that_can_not_be_registered_leave_their_room_to_others_of_their_tenant() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'a', 200);
             CREATE INDEX idx_device_registry_site ON device_registry (site_id);
             ALTER TABLE device_registry ADD CONSTRAINT names CHECK (device_id <> 'checked');
             CREATE UNIQUE INDEX one_lab ON device_registry (site_id) WHERE site_id = 'lab';
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.device_id = 'raised' THEN RAISE EXCEPTION 'no'; END IF;
                 IF NEW.device_id = 'divided' THEN NEW.sensor_limit := 1 / 0; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON device_registry FOR EACH ROW EXECUTE FUNCTION refuse();
             CREATE FUNCTION refuse_later() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.device_id = 'later' THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER later AFTER INSERT ON device_registry DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION refuse_later();",
        )
        .await;
    let bench = Bench::with(&database, provisioning());
    let long: String = (0..9_000).map(|_| fastrand::alphanumeric()).collect();
    let good: Vec<String> = (0..100).map(|i| format!("d{i}")).collect();
    let mut asked: Vec<(&str, &str, &str)> = good.iter().map(|device| ("a", device.as_str(), "s")).collect();
    let bad = [
        ("a", "checked", "s"),
        ("a", "raised", "s"),
        ("a", "divided", "s"),
        ("a", "later", "s"),
        ("a", "long-site", &long),
        ("a", long.as_str(), "s"),
    ];
    for (place, bad) in bad.into_iter().enumerate() {
        asked.insert(17 * place, bad);
    }
    asked.extend([("a", "lab-1", "lab"), ("a", "lab-2", "lab")]);
    bench.ask(&asked);
    wait_for("all answers", SOON, async || bench.heard.0.lock().unwrap().devices.len() == asked.len()).await;
    assert_eq!(results(&bench), (101, 7));
    assert_eq!(database.count("device_registry").await, 101);
    assert_eq!(database.count("subscriptions WHERE active_device_count = 101").await, 1);
}

#[actix::test]
async fn a_lock_of_one_tenant_holds_up_its_own_new_devices_and_nobody_elses() {
    let database = migrated(Postgres::shared()).await;
    database
        .execute(
            "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'locked', 5), ('t', 'free', 5);
             INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('locked', 'known', 's');",
        )
        .await;
    let administrator = database.connect().await;
    administrator
        .batch_execute("BEGIN; UPDATE subscriptions SET device_limit = 6 WHERE tenant_id = 'locked'")
        .await
        .unwrap();
    let bench = Bench::with(&database, provisioning());
    bench.ask(&[("locked", "new", "s"), ("free", "new", "s"), ("locked", "known", "s")]);
    let is_answered = |tenant: &str, device: &str| {
        let told = bench.heard.0.lock().unwrap();
        matches!(told.devices.get(&DeviceKey::new(tenant, device)), Some(Lookup::Found(_)))
    };
    wait_for("the others", SOON, async || is_answered("free", "new") && is_answered("locked", "known")).await;
    assert!(!is_answered("locked", "new"));
    bench.ask(&[("free", "second", "s")]);
    wait_for("one more", SOON, async || is_answered("free", "second")).await;
    administrator.batch_execute("COMMIT").await.unwrap();
    wait_for("the one that waited", SOON, async || is_answered("locked", "new")).await;
    assert!(bench.readiness.messages().is_empty());
}

#[actix::test]
async fn a_missing_right_to_register_holds_new_devices_and_refuses_none() {
    let cluster = Postgres::shared();
    let database = migrated(cluster).await;
    let role = format!("reader_{:08x}", fastrand::u32(..));
    database
        .execute(&format!(
            "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES ('s', 'a', 5);
             INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('a', 'known', 's');
             CREATE ROLE {role} LOGIN;
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             GRANT UPDATE ON subscriptions TO {role};"
        ))
        .await;
    let bench = Bench::as_role(&database, &role, provisioning());
    bench.ask(&[("a", "new", "s")]);
    wait_for("it to be told", SOON, async || {
        bench.readiness.messages().iter().any(|note| note.contains("permission denied"))
    })
    .await;
    bench.found("a", "known").await;
    assert_eq!(results(&bench), (1, 0), "refused for want of a right");
    database.execute(&format!("GRANT INSERT ON device_registry TO {role}")).await;
    wait_for("the new one", SOON, async || results(&bench).0 == 2).await;
    drop(bench);
    database.execute(&format!("DROP OWNED BY {role} CASCADE")).await;
}

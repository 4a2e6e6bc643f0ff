use std::path::PathBuf;

use proptest::prelude::*;
use toml::{Table, Value};

use std::path::Path;

use super::layered::Source;
use super::settings::all;
use super::*;
use crate::runtime::value_type::ValueType;

/// A file of its own, gone with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ingest-node-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn from_env<const N: usize>(variables: [(&str, &str); N]) -> Result<Loaded, ConfigError> {
    // The default file need not exist, and does not here: unit tests run in the repository's root, where it changes nothing.
    Config::load(None, &Env::from(variables))
}

fn from_file(name: &str, text: &str) -> Result<Loaded, ConfigError> {
    let file = TempFile::new(name, text);
    Config::load(Some(&file.0), &Env::default())
}

fn keys(table: &Table) -> Vec<String> {
    let keys_of = |(table, settings): (&String, &Value)| {
        settings.as_table().unwrap().keys().map(|name| format!("{table}.{name}")).collect::<Vec<_>>()
    };
    table.iter().flat_map(keys_of).collect()
}

#[test]
fn every_field_of_every_room_is_a_setting_with_an_acceptable_default() {
    let defaults = Table::try_from(Config::default()).unwrap();
    for key in keys(&defaults) {
        let setting = settings::find(&key).unwrap_or_else(|| panic!("{key} is missing in all()"));
        let (table, name) = key.split_once('.').unwrap();
        if !setting.value_type.is_secret() {
            assert!(setting.value_type.accepts(&defaults[table][name]), "{key}");
        }
    }
    // What has no default is the only one that may be missing among them.
    let known = keys(&defaults);
    let without: Vec<_> = all().filter(|s| !known.iter().any(|key| key == s.key)).map(|s| s.key).collect();
    let expected = [
        "nats.user",
        "nats.creds_file",
        "nats.ca_file",
        "nats.cert_file",
        "nats.key_file",
        "postgres.sslmode",
        "postgres.ssl_root_cert",
        "postgres.ssl_cert",
        "postgres.ssl_key",
        "postgres.channel_binding",
        "influx.url",
        "influx.ca_file",
        "influx.org",
        "influx.bucket",
    ];
    assert_eq!(without, expected);
    assert_eq!(Config::default().validate(), Ok(()));
}

#[test]
fn every_key_of_the_table_reaches_its_field() {
    for setting in all() {
        let text = match setting.value_type {
            ValueType::Whole { min, max } => max.min(min + 1).to_string(),
            ValueType::Flag => "true".into(),
            ValueType::Choice(words) => words[0].into(),
            ValueType::Level => "debug".into(),
            ValueType::Text | ValueType::Database => "a-name".into(),
            ValueType::Address => "127.0.0.1:0".into(),
            ValueType::Path | ValueType::Secret => "text".into(),
            ValueType::NatsUrl => "nats://h:1".into(),
            ValueType::PostgresUrl => "postgres://h/db".into(),
            ValueType::HttpUrl => "http://h".into(),
        };
        let mut layered = layered::LayeredConfig::default();
        let (table, name) = setting.path();
        let file =
            TempFile::new(setting.key, &format!("[{table}]\n{name} = {}", setting.value_type.parse(&text).unwrap()));
        layered.read_file(Some(&file.0)).unwrap();
        let (config, _) = layered.build().unwrap_or_else(|error| panic!("{}: {error}", setting.key));
        assert!(Table::try_from(config).unwrap()[table].get(name).is_some(), "{}", setting.key);
    }
}

#[test]
fn the_environment_stands_above_the_file_and_the_file_above_the_defaults() {
    let file = TempFile::new("order.toml", "[postgres]\nbatch_size = 7\nflush_interval_ms = 8\n");
    let loaded = Config::load(Some(&file.0), &Env::from([("BATCH_SIZE", "9")])).unwrap();
    let postgres = &loaded.config.postgres;
    assert_eq!((postgres.batch_size, postgres.flush_interval_ms, postgres.pool_max), (9, 8, 10));
    assert_eq!(loaded.source("postgres.batch_size"), Source::Env("BATCH_SIZE".into()));
    assert_eq!(loaded.source("postgres.flush_interval_ms"), Source::File(file.0.clone()));
    assert_eq!(loaded.source("postgres.pool_max"), Source::Default);
}

#[test]
fn what_is_held_on_purpose_ends_before_the_drain_does() {
    let waits = |loaded: Loaded| (loaded.config.routes.retry_secs, loaded.config.influx.drain_secs);
    for (drain_secs, expected) in [("25", (10, 5)), ("8", (6, 5)), ("3", (1, 1)), ("1", (1, 1))] {
        assert_eq!(waits(from_env([("DRAIN_TIMEOUT_SECONDS", drain_secs)]).unwrap()), expected, "{drain_secs}");
    }
    assert_eq!(waits(from_file("wait.toml", "[routes]\nretry_secs = 23").unwrap()).0, 23);
    for text in [
        "[routes]\nretry_secs = 24",
        "[influx]\ndrain_secs = 24",
        "[supervisor]\ndrain_timeout_secs = 9\n[routes]\nretry_secs = 8",
    ] {
        let said = from_file("late.toml", text).unwrap_err().to_string();
        assert!(said.starts_with("routes.retry_secs and influx.drain_secs must be shorter"), "{said}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_that_names_it() {
    let said = |result: Result<Loaded, ConfigError>| result.unwrap_err().to_string();
    let path = std::env::temp_dir().join(format!("ingest-node-{}-", std::process::id())).display().to_string();
    let cases = [
        (from_env([("BATCH_SIZE", "many")]), "BATCH_SIZE must be a whole number from 1 to 100000"),
        (from_env([("REQUIRE_TOKEN", "maybe")]), "REQUIRE_TOKEN must be true or false (1 or 0 in the environment)"),
        (from_env([("INFLUXDB_WRITE_POLICY", "never")]), "INFLUXDB_WRITE_POLICY must be best_effort or required"),
        (from_env([("PG_PORT", "0")]), "PG_PORT must be a whole number from 1 to 65535"),
        (from_env([("METRIC_MAP_CACHE_SIZE", "big")]), "METRIC_MAP_CACHE_SIZE must be a whole number, at least 0"),
        (
            from_env([("PG_POOL_MIN", "5"), ("PG_POOL_MAX", "4")]),
            "postgres.pool_min (PG_POOL_MIN) must not exceed pool_max (PG_POOL_MAX)",
        ),
        (
            from_file("a.toml", "[supervisor]\nrestart_budgt = 1"),
            &format!(
                "{path}a.toml: unknown key supervisor.restart_budgt; [supervisor] holds drain_timeout_secs, \
                 log_stats_every_secs, restart_budget, restart_window_secs, stuck_after_secs"
            ),
        ),
        (
            from_file("b.toml", "batch_size = 5"),
            &format!(
                "{path}b.toml: unknown table or misplaced key batch_size; the tables are nats, validate, registry, \
                 postgres, influx, routes, state, http, log, supervisor"
            ),
        ),
        (
            from_file("c.toml", "[http]\nbind = 8080"),
            &format!("{path}c.toml: http.bind must be an IP address and a port like 0.0.0.0:8080"),
        ),
    ];
    for (result, sentence) in cases {
        assert_eq!(said(result), sentence);
    }
    let syntax = said(from_file("d.toml", "[nats]\n\nurl = = 1"));
    assert!(syntax.starts_with(&format!("{path}d.toml, line 3: ")) && !syntax.contains('\n'), "{syntax}");
    let missing = Config::load(Some(Path::new("/nonexistent/x.toml")), &Env::default());
    assert!(said(missing).starts_with("/nonexistent/x.toml can't be read: "));
}

#[test]
fn a_secret_may_come_from_a_file_but_not_from_both() {
    let file = TempFile::new("token", "s3cret\n");
    let loaded = from_env([("INFLUXDB_TOKEN_FILE", file.path())]).unwrap();
    assert_eq!(&*loaded.config.influx.token.expose(), "s3cret");
    let both = from_env([("INFLUXDB_TOKEN_FILE", file.path()), ("INFLUXDB_TOKEN", "x")]).unwrap_err();
    assert_eq!(both.to_string(), "INFLUXDB_TOKEN and INFLUXDB_TOKEN_FILE are both set; set one of them");
    let away = from_env([("PG_PASS_FILE", "/nonexistent/pass")]).unwrap_err().to_string();
    assert!(away.starts_with("PG_PASS_FILE can't be read from /nonexistent/pass: "), "{away}");
    let empty = TempFile::new("empty", "\n");
    assert!(from_env([("NATS_URL_FILE", empty.path())]).unwrap_err().to_string().contains("names an empty file"));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let loaded = from_env([("BATCH_SIZE", ""), ("INFLUXDB_URL", ""), ("PG_PASS", "")]).unwrap();
    assert_eq!(loaded.config.postgres.batch_size, Config::default().postgres.batch_size);
    assert_eq!(loaded.config.influx.url, None);
    assert_eq!(loaded.source("postgres.url"), Source::Default);
}

#[test]
fn pg_variables_replace_their_parts_and_database_url_stands_above_them() {
    let parts = [("PG_HOST", "db"), ("PG_PASS", "p@ss/w:rd")];
    let loaded = from_env(parts).unwrap();
    assert_eq!(&*loaded.config.postgres.url.expose(), "postgres://iot:p%40ss%2Fw%3Ard@db:5432/iotcloud");
    assert_eq!(loaded.source("postgres.url"), Source::Env("PG_HOST, PG_PASS".into()));

    let file = TempFile::new("pg.toml", "[postgres]\nurl = 'postgres://u@h:1/d?connect_timeout=3'");
    let loaded = Config::load(Some(&file.0), &Env::from([("PG_PASS", "x")])).unwrap();
    assert_eq!(&*loaded.config.postgres.url.expose(), "postgres://u:x@h:1/d?connect_timeout=3");

    let loaded = from_env([("PG_HOST", "db"), ("DATABASE_URL", "postgres://h/d")]).unwrap();
    assert_eq!(&*loaded.config.postgres.url.expose(), "postgres://h/d");
}

#[test]
fn a_variable_without_effect_is_accepted_and_said_to_be() {
    let loaded = from_env([("METRIC_MAP_CACHE_SIZE", "10000")]).unwrap();
    assert_eq!(loaded.notices.len(), 1);
    assert!(loaded.notices[0].starts_with("METRIC_MAP_CACHE_SIZE has no effect"));
}

#[test]
fn a_record_that_is_switched_off_is_warned_of() {
    let file = TempFile::new("outbox.toml", "[influx]\noutbox = false");
    let loaded = Config::load(Some(&file.0), &Env::default()).unwrap();
    assert!(!loaded.config.influx.outbox);
    assert!(loaded.notices[0].starts_with("influx.outbox is off"), "{:?}", loaded.notices);
}

#[test]
fn a_small_pool_needs_no_word_about_its_minimum() {
    let loaded = from_env([("PG_POOL_MAX", "1")]).unwrap();
    assert_eq!((loaded.config.postgres.pool_min, loaded.config.postgres.pool_max), (1, 1));
}

#[test]
fn the_shown_configuration_is_toml_and_says_where_each_value_came_from() {
    let loaded = from_env([("BATCH_SIZE", "500"), ("NATS_URL", "nats://u:p@h:4222"), ("INFLUXDB_TOKEN", "t")]).unwrap();
    let text = loaded.show().unwrap();
    for line in [
        r#"url = "nats://***@h:4222"  # env NATS_URL"#,
        "batch_size = 500  # env BATCH_SIZE",
        r#"url = "postgres://***@127.0.0.1:5432/iotcloud"  # default"#,
        r#"token = "***"  # env INFLUXDB_TOKEN"#,
        "# url is not set",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
    }
    let parsed: Table = text.parse().unwrap();
    assert_eq!(parsed["supervisor"]["drain_timeout_secs"].as_integer(), Some(25));
}

proptest! {
    #[test]
    fn what_is_shown_never_holds_a_secret(secret in "[a-zA-Z0-9:/@?#=&., ]{0,12}s3cr3t[a-zA-Z0-9:/@?#=&., ]{0,12}") {
        let encoded = |secret: &str| secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let plain = |secret: &str| secret.replace(['/', '@', '?', '#', ' ', ':'], "_");
        let urls = [
            format!("postgres://u:{}@h/db", encoded(&secret)),
            format!("postgres://u:{}@h/db", plain(&secret)),
            format!("postgres://u:{}@h/db?application_name={}", plain(&secret), encoded(&secret)),
        ];
        for url in urls {
            let nats = format!("nats://u:{}@a:4222,nats://u:{}@b:4222", encoded(&secret), encoded(&secret));
            let variables = [
                ("DATABASE_URL", url.as_str()), ("NATS_URL", &nats), ("INFLUXDB_TOKEN", &secret),
            ];
            let loaded = from_env(variables);
            prop_assert!(loaded.is_ok(), "{:?}", loaded.err());
            let loaded = loaded.unwrap();
            for text in [loaded.show().unwrap(), format!("{:?}", loaded.config)] {
                prop_assert!(!text.contains("s3cr3t"), "{}", text);
                prop_assert!(!text.contains(&encoded(&secret)), "{}", text);
            }
        }
        let parts = from_env([("PG_PASS", secret.as_str())]).unwrap();
        prop_assert!(!parts.show().unwrap().contains("s3cr3t"));
    }

    #[test]
    fn an_error_never_holds_the_value(value in "[a-z:/@]{0,5}s3cr3t[a-z:/@]{0,5}") {
        for setting in all() {
            let Some(name) = setting.env else { continue };
            // Where a file lies is no secret, and has to be said.
            if matches!(setting.value_type, ValueType::Path) {
                continue;
            }
            if let Err(error) = from_env([(name, &value)]) {
                prop_assert!(!error.to_string().contains("s3cr3t"), "{}", error);
            }
        }
    }
}

//! From the sources to the settings.

use toml::{Table, Value};

use super::harness::{TempFile, from_env, from_file};
use crate::config::diagnostics::Diagnostics;
use crate::config::layered::LayeredConfig;
use crate::config::settings::{self, all};
use crate::config::source::Source;
use crate::config::{Config, Env, Loaded, rules};
use crate::runtime::value_type::ValueType;

fn keys(table: &Table) -> Vec<String> {
    let keys_of = |(name, value): (&String, &Value)| match value.as_table() {
        Some(table) => keys(table).into_iter().map(|below| format!("{name}.{below}")).collect(),
        None => vec![name.clone()],
    };
    table.iter().flat_map(keys_of).collect()
}

#[test]
fn every_field_of_every_component_is_a_setting_with_an_acceptable_default() {
    let defaults = Table::try_from(Config::default()).unwrap();
    for key in keys(&defaults) {
        let setting = settings::find(&key).unwrap_or_else(|| panic!("{key} is missing in all()"));
        if !setting.value_type.is_secret() {
            assert!(setting.value_type.accepts(setting.value_in(&defaults).unwrap()), "{key}");
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
        "influx.target.url",
        "influx.target.ca_file",
        "influx.target.org",
        "influx.target.bucket",
        "retention.raw_events_days",
        "retention.quarantine_days",
        "mqtt.host",
        "mqtt.port",
        "mqtt.username",
        "mqtt.ca_file",
        "mqtt.share_group",
        "gateway_http.tls_cert",
        "gateway_http.tls_key",
        "gateway_http.tls_client_ca",
        "gateway_http.trusted_proxies",
    ];
    assert_eq!(without, expected);
    let mut diagnostics = Diagnostics::default();
    rules::check(&Config::default(), &mut diagnostics);
    assert_eq!(diagnostics.errors, Vec::<String>::new());
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
            ValueType::Networks => "10.0.0.0/8".into(),
            ValueType::HttpUrl => "http://h".into(),
        };
        let mut layered = LayeredConfig::default();
        let (table, name) = setting.path();
        let file =
            TempFile::new(setting.key, &format!("[{table}]\n{name} = {}", setting.value_type.parse(&text).unwrap()));
        let mut diagnostics = Diagnostics::default();
        layered.read_file(Some(&file.0), &mut diagnostics);
        let (config, _) = layered.build(&mut diagnostics);
        assert_eq!(diagnostics.errors, Vec::<String>::new(), "{}", setting.key);
        assert!(setting.value_in(&Table::try_from(config).unwrap()).is_some(), "{}", setting.key);
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
fn a_secret_may_come_from_a_file_but_not_from_both() {
    let file = TempFile::new("token", "s3cret\n");
    let loaded = from_env([("INFLUXDB_TOKEN_FILE", file.path())]).unwrap();
    assert_eq!(&*loaded.config.influx.target.token.expose(), "s3cret");
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
    assert_eq!(loaded.config.influx.target.url, None);
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
fn a_small_pool_needs_no_word_about_its_minimum() {
    let loaded = from_env([("PG_POOL_MAX", "1")]).unwrap();
    assert_eq!((loaded.config.postgres.pool_min, loaded.config.postgres.pool_max), (1, 1));
}

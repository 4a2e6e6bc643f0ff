//! What is worth a warning.

use super::harness::{TempFile, from_env};
use crate::config::{Config, Env, Selection};

#[test]
fn doubtful_combinations_are_warned_of_and_good_ones_are_not() {
    let server = [("INFLUXDB_URL", "http://influx:8181"), ("INFLUXDB_TOKEN", "t")];
    assert_eq!(from_env(server).unwrap().notices, Vec::<String>::new());
    let noticed = |variables: &[(&str, &str)], text: &str, part: &str| {
        let file = TempFile::new("doubt.toml", text);
        let [url, token] = server;
        let mut all = vec![url, token];
        all.retain(|(name, _)| !variables.iter().any(|(other, _)| other == name));
        all.extend(variables);
        let env = all.iter().fold(Env::default(), |env, (name, value)| env.with(name, value));
        let notices = Config::load(Some(&file.0), &env).unwrap().notices;
        assert!(notices.len() == 1 && notices[0].contains(part), "{part}: {notices:?}");
    };
    noticed(
        &[("DATABASE_URL", "postgres://h/d"), ("PG_HOST", "x")],
        "",
        "DATABASE_URL is set, so PG_HOST have no effect",
    );
    noticed(&[("INFLUXDB_URL", "")], "[influx.files]\ndata_dir = '/var/lib/points'", "below /var/lib/points");
    noticed(&[("INFLUXDB_TOKEN", "")], "", "INFLUXDB_TOKEN is not set");
    noticed(&[("INFLUXDB_API", "v2")], "", "INFLUXDB_ORG is not set");
    noticed(&[("INFLUXDB_ORG", "o"), ("INFLUXDB_BUCKET", "b")], "", "INFLUXDB_ORG, INFLUXDB_BUCKET");
    noticed(&[("INFLUXDB_WRITE_ENABLED", "0")], "", "INFLUXDB_URL has no effect");
    noticed(&[("REQUIRE_TOKEN", "0")], "", "REQUIRE_TOKEN is off");
    noticed(&[], "[nats]\nmax_ack_pending = 10", "nats.window (20000) exceeds");
    noticed(&[], "[nats]\nack_wait_secs = 1", "nats.ack_wait_secs is 1");
    noticed(&[("DRAIN_TIMEOUT_SECONDS", "3600")], "", "terminationGracePeriodSeconds");
    noticed(&[("RAW_EVENTS_RETENTION_DAYS", "30")], "", "QUARANTINE_RETENTION_DAYS is not set: a rejected message");
    let short = [("RAW_EVENTS_RETENTION_DAYS", "30"), ("QUARANTINE_RETENTION_DAYS", "31")];
    noticed(&short, "", "QUARANTINE_RETENTION_DAYS is 31");
    let same = [("RAW_EVENTS_RETENTION_DAYS", "1"), ("QUARANTINE_RETENTION_DAYS", "1")];
    noticed(&same, "[nats]\nstream_max_age_secs = 86401", "is shorter than nats.stream_max_age_secs (86401)");
    noticed(&[("LOG_LEVEL", "TRACE")], "", "LOG_LEVEL=trace");
    noticed(&[("INFLUX_URL", "http://h")], "", "did you mean INFLUXDB_URL?");
}

#[test]
fn a_variable_without_effect_is_accepted_and_said_to_be() {
    let loaded = from_env([("METRIC_MAP_CACHE_SIZE", "10000")]).unwrap();
    assert!(loaded.notices[0].starts_with("METRIC_MAP_CACHE_SIZE has no effect"), "{:?}", loaded.notices);
}

#[test]
fn a_former_name_of_a_setting_works_and_is_said_to_be_one() {
    let file = TempFile::new("former.toml", "[influx]\nbatch_size = 7\nwrite_policy = 'required'\noutbox = false\n");
    let loaded =
        Config::load(Some(&file.0), &Env::from([("INFLUXDB_URL", "http://h"), ("INFLUXDB_TOKEN", "t")])).unwrap();
    let influx = &loaded.config.influx;
    assert_eq!((influx.batch.batch_size, influx.outbox.enabled), (7, false));
    let said = |line: u32, names: &str| {
        let notice = format!("{}, line {line}: {names} now; it still works under both names", file.path());
        assert_eq!(loaded.notices.iter().filter(|said| **said == notice).count(), 1, "{notice}: {:?}", loaded.notices);
    };
    said(2, "influx.batch_size is influx.batch.batch_size");
    said(4, "influx.outbox is influx.outbox.enabled");
    assert_eq!(loaded.notices.len(), 3, "and that the outbox is off: {:?}", loaded.notices);
    // What is shown has the new name, and the environment stands above both.
    let shown = loaded.show(Selection::Changed).unwrap();
    assert!(shown.contains(&format!("\n[influx.batch]\nbatch_size = 7  # file {}\n", file.path())), "{shown}");
    assert!(shown.contains("\n[influx.outbox]\nenabled = false  # file "), "{shown}");
    let loaded = Config::load(Some(&file.0), &Env::from([("INFLUX_BATCH_SIZE", "9")])).unwrap();
    assert_eq!(loaded.config.influx.batch.batch_size, 9);
}

#[test]
fn a_record_that_is_switched_off_is_warned_of() {
    let file = TempFile::new("outbox.toml", "[influx.outbox]\nenabled = false");
    let loaded = Config::load(Some(&file.0), &Env::default()).unwrap();
    assert!(!loaded.config.influx.outbox.enabled);
    assert!(
        loaded.notices.iter().any(|notice| notice.starts_with("influx.outbox.enabled is off")),
        "{:?}",
        loaded.notices
    );
}

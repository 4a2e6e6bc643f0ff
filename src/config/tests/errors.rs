//! What keeps the node from starting: all of it, a sentence each.

use std::path::Path;

use super::harness::{TempFile, from_env, from_file};
use crate::config::{Config, ConfigErrors, Env, Loaded};

#[test]
fn what_is_wrong_is_said_in_one_sentence_that_names_it() {
    let said = |result: Result<Loaded, ConfigErrors>| result.unwrap_err().to_string();
    let path = std::env::temp_dir().join(format!("ingest-node-{}-", std::process::id())).display().to_string();
    let cases = [
        (from_env([("BATCH_SIZE", "many")]), "BATCH_SIZE must be a whole number from 1 to 100000"),
        (from_env([("REQUIRE_TOKEN", "maybe")]), "REQUIRE_TOKEN must be true or false (1 or 0 in the environment)"),
        (from_env([("INFLUXDB_WRITE_POLICY", "never")]), "INFLUXDB_WRITE_POLICY must be best_effort or required"),
        (from_env([("PG_PORT", "0")]), "PG_PORT must be a whole number from 1 to 65535"),
        (from_env([("METRIC_MAP_CACHE_SIZE", "big")]), "METRIC_MAP_CACHE_SIZE must be a whole number, at least 0"),
        (
            from_env([("RAW_EVENTS_RETENTION_DAYS", "0")]),
            "RAW_EVENTS_RETENTION_DAYS must be a whole number from 1 to 36500",
        ),
        (
            from_env([("QUARANTINE_RETENTION_DAYS", "-1")]),
            "QUARANTINE_RETENTION_DAYS must be a whole number from 1 to 36500",
        ),
        (
            from_env([("PG_POOL_MIN", "5"), ("PG_POOL_MAX", "4")]),
            "postgres.pool_min (PG_POOL_MIN) must not exceed pool_max (PG_POOL_MAX)",
        ),
        (
            from_file("a.toml", "[supervisor]\nrestart_budgt = 1"),
            &format!(
                "{path}a.toml, line 2: unknown key supervisor.restart_budgt; did you mean supervisor.restart_budget?"
            ),
        ),
        (
            from_file("b.toml", "[registry]\ncolour = 1"),
            &format!(
                "{path}b.toml, line 2: unknown key registry.colour; [registry] holds auto_provision, \
                 settings_poll_secs, lookup_batch, max_routes_per_tenant"
            ),
        ),
        (
            from_file("e.toml", "[postgres]\nwindow = 1"),
            &format!("{path}e.toml, line 2: unknown key postgres.window; did you mean nats.window or gateway.window?"),
        ),
        (
            from_file("f.toml", "batch_size = 5"),
            &format!(
                "{path}f.toml, line 1: unknown table or misplaced key batch_size; did you mean postgres.batch_size or \
                 influx.batch.batch_size?"
            ),
        ),
        (
            from_file("g.toml", "[postgress]\npool_max = 1"),
            &format!("{path}g.toml, line 1: unknown table or misplaced key postgress; did you mean [postgres]?"),
        ),
        (
            from_file("h.toml", "no_such_key = 5"),
            &format!(
                "{path}h.toml, line 1: unknown table or misplaced key no_such_key; the tables are nats, validate, \
                 registry, postgres, influx, routes, state, retention, http, admin, gateway, mqtt, gateway_http, log, supervisor"
            ),
        ),
        (
            from_file("i.toml", "[influx.batch]\nbatchsize = 5"),
            &format!("{path}i.toml, line 2: unknown key influx.batch.batchsize; did you mean influx.batch.batch_size?"),
        ),
        (
            from_file("j.toml", "[influx]\n\nretry.colour = 5"),
            &format!(
                "{path}j.toml, line 3: unknown key influx.retry.colour; [influx.retry] holds retry_delay_ms, \
                 retry_delay_max_ms, breaker_failures"
            ),
        ),
        (
            from_file("k.toml", "[influx]\nbatchsize = 5"),
            &format!("{path}k.toml, line 2: unknown key influx.batchsize; did you mean influx.batch.batch_size?"),
        ),
        (
            from_file("l.toml", "[influx.colours]\nx = 5"),
            &format!(
                "{path}l.toml, line 1: unknown key influx.colours; [influx] holds write_enabled, write_policy, \
                 drain_secs, [influx.target], [influx.files], [influx.batch], [influx.buffer], [influx.retry], \
                 [influx.columns], [influx.outbox]"
            ),
        ),
        (
            from_file("m.toml", "[influx]\nbatch_size = 5\n[influx.batch]\nbatch_size = 6"),
            &format!(
                "{path}m.toml, line 2: influx.batch.batch_size and influx.batch_size are the same setting; remove \
                 influx.batch_size"
            ),
        ),
        (
            from_file("n.toml", "[influx]\nbatch_size = 0"),
            &format!("{path}n.toml, line 2: influx.batch_size must be a whole number from 1 to 100000"),
        ),
        (
            from_file("c.toml", "[http]\nbind = 8080"),
            &format!("{path}c.toml, line 2: http.bind must be an IP address and a port like 0.0.0.0:8080"),
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
fn everything_that_is_wrong_is_said_at_once() {
    let file = TempFile::new(
        "all.toml",
        "[nats]\nwindow = 0\nwindo = 1\n[http]\nbind = 1\n[colours]\nx = 1\n[routes]\nretry_secs = 60\n",
    );
    let env = Env::from([
        ("BATCH_SIZE", "many"),
        ("PG_PORT", "x"),
        ("PG_POOL_MIN", "5"),
        ("PG_POOL_MAX", "4"),
        ("METRIC_MAP_CACHE_SIZE", "big"),
        ("INFLUXDB_API", "v2"),
        ("INFLUXDB_TOKEN", "a\nb"),
        ("INFLUXDB_URL", "http://influx:8086/api/v2/write"),
    ]);
    let errors = Config::load(Some(&file.0), &env).unwrap_err();
    let expected = [
        "http.bind must be",
        "unknown table or misplaced key colours",
        "nats.window must be",
        "unknown key nats.windo;",
        "BATCH_SIZE must be",
        "PG_PORT must be",
        "METRIC_MAP_CACHE_SIZE must be",
        "postgres.pool_min (PG_POOL_MIN)",
        "routes.retry_secs and",
        "INFLUXDB_URL must be the server's URL alone",
        "INFLUXDB_TOKEN holds",
    ];
    for part in expected {
        assert_eq!(errors.sentences().iter().filter(|sentence| sentence.contains(part)).count(), 1, "{part}: {errors}");
    }
    assert_eq!(errors.sentences().len(), expected.len(), "{errors}");
    assert!(errors.sentences().iter().all(|sentence| sentence.lines().count() == 1), "{errors}");
}

#[test]
fn everything_that_is_wrong_with_the_ways_in_to_servers_is_said_at_once() {
    let errors = from_env([
        ("DATABASE_URL", "postgres://db/x?sslmode=require&sslrootcert=/a"),
        ("PG_SSLMODE", "verify-full"),
        ("PG_SSLROOTCERT", "/b"),
        ("NATS_USER", "u"),
        ("NATS_NKEY_SEED", "nonsense"),
        // It has nothing to do with the log-in.
        ("NATS_MQTT", "perhaps"),
        ("INGEST_TLS_CERT", "/c"),
        ("INGEST_TLS_CLIENT_REQUIRED", "1"),
    ])
    .unwrap_err();
    let expected = [
        "NATS_MQTT must be",
        "NATS_USER is set and NATS_PASSWORD is not",
        "NATS_NKEY_SEED holds no seed",
        "PG_SSLMODE and",
        "PG_SSLROOTCERT and",
        "INGEST_TLS_CLIENT_REQUIRED is set and INGEST_TLS_CLIENT_CA is not",
        "INGEST_TLS_CERT is set and INGEST_TLS_KEY is not",
    ];
    for part in expected {
        assert_eq!(errors.sentences().iter().filter(|sentence| sentence.contains(part)).count(), 1, "{part}: {errors}");
    }
    assert_eq!(errors.sentences().len(), expected.len(), "{errors}");
}

#[test]
fn nothing_is_concluded_from_a_value_that_could_not_be_read() {
    // With the default of 10 in its place, the least would exceed the most.
    let errors = from_env([("PG_POOL_MIN", "50"), ("PG_POOL_MAX", "many")]).unwrap_err();
    assert_eq!(errors.sentences(), ["PG_POOL_MAX must be a whole number from 1 to 1000"]);
    let file = TempFile::new("unread.toml", "[postgres]\npool_max = = 60\n");
    let errors = Config::load(Some(&file.0), &Env::from([("PG_POOL_MIN", "50")])).unwrap_err();
    assert_eq!(errors.sentences().len(), 1, "{errors}");
    let gathered = Config::gather(None, &Env::from([("INFLUXDB_URL", "influx")]));
    assert!(!gathered.notices().iter().any(|notice| notice.contains("INFLUXDB_URL is not set")));
}

#[test]
fn every_line_that_is_no_toml_is_named() {
    let errors = from_file("lines.toml", "[nats]\nwindow = = 1\n[http\nbind = 'x'\n[log]\nlevel = info\n").unwrap_err();
    for line in ["lines.toml, line 2: ", "lines.toml, line 3: ", "lines.toml, line 6: "] {
        assert_eq!(errors.sentences().iter().filter(|sentence| sentence.contains(line)).count(), 1, "{line}: {errors}");
    }
    let twice = from_file("twice.toml", "[nats]\nwindow = 1\nwindow = 2\n").unwrap_err().to_string();
    assert!(twice.contains("line 3") && twice.contains("duplicate key") && twice.ends_with("window"), "{twice}");
}

#[test]
fn what_one_setting_demands_of_another_is_checked_and_the_very_bound_is_allowed() {
    let broken = [
        ("[nats]\nnak_delay_ms = 2\nnak_delay_max_ms = 1", "nats.nak_delay_ms must not exceed"),
        (
            "[influx]\nbatch.batch_size = 2\nbuffer.buffer_lines = 1",
            "influx.batch.batch_size (INFLUX_BATCH_SIZE) must not exceed",
        ),
        ("[influx.retry]\nretry_delay_ms = 2\nretry_delay_max_ms = 1", "influx.retry.retry_delay_ms must not exceed"),
        ("[supervisor]\nstuck_after_secs = 30", "supervisor.stuck_after_secs must be longer than"),
        ("[state]\nflush_interval_secs = 31", "state.flush_interval_secs must not exceed flush_interval_max_secs"),
        ("[routes]\nduplicate_window_secs = 11", "routes.duplicate_window_secs must be longer than"),
    ];
    for (text, sentence) in broken {
        let errors = from_file("rule.toml", text).unwrap_err();
        assert!(errors.sentences().len() == 1 && errors.sentences()[0].starts_with(sentence), "{text}: {errors}");
    }
    let kept = [
        "[nats]\nnak_delay_ms = 2\nnak_delay_max_ms = 2",
        "[influx]\nbatch.batch_size = 2\nbuffer.buffer_lines = 2",
        "[influx.retry]\nretry_delay_ms = 2\nretry_delay_max_ms = 2",
        "[supervisor]\nstuck_after_secs = 31",
        "[state]\nflush_interval_secs = 30",
        "[routes]\nduplicate_window_secs = 12",
    ];
    for text in kept {
        assert!(from_file("kept.toml", text).is_ok(), "{text}");
    }
}

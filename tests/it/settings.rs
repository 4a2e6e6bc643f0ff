//! Careless settings: what `check-config` and `run` say about them.

use ingest_kit::{Finished, NodeBuilder};
use serde_json::Value;

use crate::world::{DEADLINE, World, drain, node};

/// Three mistakes in three sources, a variable that is none, and a doubtful combination.
fn careless(arguments: &[&str]) -> (NodeBuilder, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("node.toml");
    std::fs::write(&file, "[nats]\nwindo = 1\n[routes]\nretry_secs = 60\n").expect("the file");
    let all = [&["--config", file.to_str().expect("UTF-8")], arguments].concat();
    let node = node()
        .arguments(&all)
        .env("BATCH_SIZE", "many")
        .env("INFLUX_URL", "http://127.0.0.1:1")
        .env("DATABASE_URL", "postgres://ingest:hush-hush@127.0.0.1:1/x")
        .env("PG_HOST", "elsewhere");
    (node, dir)
}

const ERRORS: [&str; 3] = ["BATCH_SIZE", "nats.windo; did you mean nats.window?", "routes.retry_secs"];
const NOTICES: [&str; 3] = ["did you mean INFLUXDB_URL?", "PG_HOST have no effect", "below /"];

/// The lines, each a JSON object with what every line of the log has.
fn json_lines(text: &str) -> Vec<Value> {
    let object = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{text}"));
        assert!(value["ts"].is_string() && value["level"].is_string() && value["msg"].is_string(), "{line}");
        value
    };
    text.lines().map(object).collect()
}

fn assert_each_on_a_line(lines: &[&str], parts: &[&str]) {
    for part in parts {
        assert_eq!(lines.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {lines:?}");
    }
}

#[tokio::test]
async fn check_config_names_every_error_and_every_doubt_at_once() {
    let (node, _dir) = careless(&["check-config"]);
    let finished = node.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    let errors: Vec<&str> = finished.stderr.lines().collect();
    assert_each_on_a_line(&errors, &ERRORS);
    assert_eq!(errors.len(), ERRORS.len(), "{errors:?}");
    let notices: Vec<&str> = finished.stdout.lines().filter(|line| line.starts_with("# WARN  ")).collect();
    assert_each_on_a_line(&notices, &NOTICES);
}

#[tokio::test]
async fn check_config_json_is_one_object_with_errors_too() {
    let (node, _dir) = careless(&["check-config", "--json"]);
    let finished = node.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    assert!(!format!("{finished:?}").contains("hush-hush"), "{finished:?}");
    let object: Value = serde_json::from_str(&finished.stdout).expect("one object");
    let list = |name: &str| object[name].as_array().unwrap_or_else(|| panic!("{name}: {object}")).clone();
    assert_eq!(list("errors").len(), ERRORS.len(), "{object}");
    assert_eq!(list("notices").len(), NOTICES.len(), "{object}");
    let settings = list("settings");
    let url = settings.iter().find(|setting| setting["key"] == "postgres.url").expect("postgres.url");
    assert_eq!((&url["env"], &url["source"]), (&"DATABASE_URL".into(), &"env DATABASE_URL".into()));
    assert_eq!(url["value"], "postgres://***@127.0.0.1:1/x");
    assert!(!settings.iter().any(|setting| setting["key"] == "postgres.batch_size"), "a value that is not in force");
}

#[tokio::test]
async fn check_config_changed_shows_only_what_is_not_default() {
    let run = node().arguments(&["check-config", "--changed"]).env("BATCH_SIZE", 7).env("INFLUXDB_API", "files");
    let finished = run.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let set: Vec<&str> = finished.stdout.lines().filter(|line| line.contains(" = ")).collect();
    let [batch_size, api, bind] = set[..] else { panic!("{set:?}") };
    assert_eq!((batch_size, api), ("batch_size = 7  # env BATCH_SIZE", "api = \"files\"  # env INFLUXDB_API"));
    assert!(bind.ends_with("# env HTTP_BIND"), "{bind}");
}

#[tokio::test]
async fn run_says_every_error_in_the_form_of_the_log() {
    let (node, _dir) = careless(&["run"]);
    let finished = node.run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
    let lines = json_lines(&finished.stderr);
    assert!(lines.iter().all(|line| line["level"] == "FATAL" && line["exit_code"] == 64), "{lines:?}");
    assert_each_on_a_line(&finished.stderr.lines().collect::<Vec<_>>(), &ERRORS);

    let (node, _dir) = careless(&["run"]);
    let Finished { stderr, .. } = node.env("LOG_FORMAT", "text").run_to_end(DEADLINE).await;
    assert_eq!(stderr.lines().filter(|line| line.starts_with("ingest-node: ")).count(), ERRORS.len(), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_run_is_a_json_object_and_the_first_says_what_starts() {
    let world = World::new().await;
    let mut node = world.node().env("LOG_FORMAT", "json").env("NATS_URLS", "x").start();
    node.wait_ready(DEADLINE).await;
    node.wait_logged("settings in force", 1).await;
    node.sigterm();
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0));
    let lines = json_lines(&node.log());
    assert_eq!((&lines[0]["msg"], &lines[0]["level"]), (&"starting".into(), &"INFO".into()));
    assert!(lines[0]["version"].is_string());
    assert_eq!(lines[0]["config_hash"].as_str().map(str::len), Some(12), "{}", lines[0]);
    let notice = lines.iter().find(|line| line["msg"] == "configuration").expect("the notice");
    assert_eq!(
        (&notice["level"], &notice["notice"]),
        (&"WARN".into(), &"NATS_URLS is not a setting; did you mean NATS_URL?".into())
    );
    let settings = lines.iter().find(|line| line["msg"] == "settings in force").expect("the settings");
    assert_eq!((&settings["mode"], &settings["max_payload_bytes"]), (&"DEV".into(), &8192.into()), "{settings}");
    let noise = ["Transient(", "Some(", "Settings {"];
    assert!(!noise.iter().any(|debug| node.log().contains(debug)), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_descriptors_are_named_as_the_cause() {
    let world = World::new().await;
    let program = env!("CARGO_BIN_EXE_ingest-node");
    let limited = |limit: u32, hard: u32| {
        let script = format!("ulimit -Sn {limit} && ulimit -Hn {hard} && exec \"$0\" run");
        let mut run = ingest_kit::Node::builder("/bin/sh").arguments(&["-c", &script, program]);
        for (name, value) in [
            ("NATS_URL", world.nats.url()),
            ("DATABASE_URL", world.database.url().to_owned()),
            ("INFLUXDB_API", "files".to_owned()),
        ] {
            run = run.env(name, value);
        }
        run
    };
    let finished = limited(32, 32).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(70), "{finished:?}");
    let lines = json_lines(&finished.stderr);
    assert!(
        lines.iter().any(|line| line["level"] == "WARN" && line["why"].as_str().is_some_and(|why| why.contains("256")))
    );
    assert!(finished.stderr.contains("too many open files"), "{finished:?}");
    let last = lines.last().expect("a last word");
    assert_eq!((&last["level"], &last["exit_code"]), (&"FATAL".into(), &70.into()));
    assert!(last["msg"].as_str().is_some_and(|why| why.contains("only 32 files")), "{last}");

    // A soft limit is raised to the hard one.
    let mut node = limited(32, 1_024).start();
    node.wait_ready(DEADLINE).await;
    assert!(!node.log().contains("too few open files"), "{}", node.log());
    drain(node).await;
}

#[tokio::test]
async fn completions_and_pages_of_the_manual_need_no_settings() {
    for arguments in [&["completions", "bash"][..], &["man"], &["man", "quarantine", "list"]] {
        let finished = node().arguments(arguments).env("BATCH_SIZE", "many").run_to_end(DEADLINE).await;
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(finished.stdout.contains("ingest-node"), "{arguments:?}");
    }
    let finished = node().arguments(&["completions", "klingon"]).run_to_end(DEADLINE).await;
    assert_eq!(finished.code, Some(64), "{finished:?}");
}

//! Tokens, APIs, buckets and files.

use ingest_kit::{InfluxStub, NodeBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::doctor;
use crate::world::World;

/// A server that gives every request the same answer.
async fn canned(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_points_is_named_with_the_setting() {
    let world = World::new().await;
    let strict = InfluxStub::builder().token("apiv3_right").start();
    let no_bucket =
        canned("404 Not Found", r#"{"code":"not found","message":"bucket \"telemetry_doctor\" not found"}"#).await;
    let page = canned("200 OK", "<html>Welcome</html>").await;
    let node = |url: &str, settings: &[(&str, &str)]| -> NodeBuilder {
        let node = world.node().env("INFLUXDB_URL", url);
        settings.iter().fold(node, |node, (name, value)| node.env(name, value))
    };
    let prefixed = format!("{}/elsewhere", world.influx.url());
    for (node, level, about, part, advice) in [
        (node(&strict.url(), &[]), "ERR", "influxdb write", "the token is refused", "INFLUXDB_TOKEN"),
        (
            node(&world.influx.url(), &[("INFLUXDB_API", "v2")]),
            "WARN",
            "influxdb write",
            "InfluxDB 3 Core",
            "INFLUXDB_API=v3",
        ),
        (node(&prefixed, &[]), "ERR", "influxdb write", "does not know the API", "INFLUXDB_API"),
        (node(&no_bucket, &[("INFLUXDB_API", "v2")]), "ERR", "influxdb write", "bucket", "INFLUXDB_BUCKET"),
        (node(&page, &[]), "ERR", "influxdb write", "status 200", "INFLUXDB_URL"),
        (node(&world.influx.url().replace("http:", "https:"), &[]), "ERR", "influxdb", "no answer", "INFLUXDB_CA_FILE"),
        (node("http://127.0.0.1:9", &[]), "ERR", "influxdb", "no answer", "INFLUXDB_URL"),
    ] {
        let report = doctor(node).await;
        report.assert_names(&[(level, about, part)]);
        let named = report.wrong("influxdb");
        assert!(named.iter().any(|one| one.advice.as_ref().is_some_and(|text| text.contains(advice))), "{named:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_go_to_files_need_a_directory_that_can_be_written() {
    let world = World::new().await;
    let config = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(config.path(), "[influx]\ntarget.api = \"files\"\nfiles.data_dir = \"/proc/nope\"\n")
        .expect("a file");
    let path = config.path().to_str().expect("UTF-8");
    let node = crate::world::node()
        .env("NATS_URL", world.nats.url())
        .env("DATABASE_URL", world.database.url())
        .arguments(&["--config", path, "doctor"]);
    let finished = node.run_to_end(crate::world::DEADLINE).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stdout.contains("ERR   files of points: /proc/nope can't be written"), "{finished:?}");
}

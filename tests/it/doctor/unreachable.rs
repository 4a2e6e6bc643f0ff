//! Servers that are not there, or accept and say nothing.

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::doctor;
use crate::world::node;

/// A server that accepts, reads, and never answers.
async fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move { while socket.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_away_or_say_nothing_are_each_an_error_and_69() {
    let ports = [silent().await, silent().await, silent().await];
    for (ports, what) in [([9, 9, 9], "refused"), (ports, "")] {
        let [nats, postgres, influx] = ports;
        let report = doctor(
            node()
                .env("NATS_URL", format!("nats://127.0.0.1:{nats}"))
                .env("DATABASE_URL", format!("postgres://iot:hush@127.0.0.1:{postgres}/iotcloud"))
                .env("INFLUXDB_URL", format!("http://127.0.0.1:{influx}")),
        )
        .await;
        report.assert_names(&[("ERR", "nats", what), ("ERR", "postgresql", what), ("ERR", "influxdb", "no answer")]);
        assert_eq!(report.code, Some(69), "{:#?}", report.found);
        assert!(!report.found.iter().any(|one| one.found.contains("hush")), "a password is shown");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_another_machine_without_tls_is_named() {
    // An address of the documentation's network: nobody is there, which takes nothing from what is to be said.
    let report = doctor(
        node()
            .env("NATS_URL", "nats://192.0.2.1:4222")
            .env("DATABASE_URL", "postgres://iot@192.0.2.1/iotcloud")
            .env("INFLUXDB_URL", "http://192.0.2.1:8181"),
    )
    .await;
    report.assert_names(&[
        ("WARN", "nats tls", "192.0.2.1"),
        ("WARN", "postgresql tls", "192.0.2.1"),
        ("WARN", "influxdb tls", "192.0.2.1"),
    ]);
}

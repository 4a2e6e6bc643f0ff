//! What goes over the wire: read by a relay between the writer and PostgreSQL.

use std::sync::{Arc, Mutex};

use ingest_core::flow::disposition::Verdict;
use ingest_kit::Postgres;
use ingest_node::testing::delivery::Lane;
use ingest_node::testing::message::Write;
use ingest_node::testing::postgres::config::Config;
use ingest_node::testing::runtime::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::bench::{Bench, config, event, migrated};

/// The types of the messages that clients have sent, in order, connection by connection.
type Sent = Arc<Mutex<Vec<u8>>>;

/// Listens for clients of this server; the port.
async fn relay(server: u16, sent: Sent) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    actix::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            actix::spawn(forward(client, server, sent.clone()));
        }
    });
    port
}

/// Passes on what both say until one of them ends.
async fn forward(client: TcpStream, server: TcpStream, sent: Sent) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let back = actix::spawn(async move { copy(&mut from_server, &mut to_client).await });
    // The first message has a length and no type.
    let mut is_first = true;
    loop {
        let kind = if is_first { 0 } else { from_client.read_u8().await.unwrap_or_default() };
        let Ok(length) = from_client.read_u32().await else { break };
        let mut body = vec![0; length as usize - 4];
        if from_client.read_exact(&mut body).await.is_err() {
            break;
        }
        if !is_first {
            sent.lock().unwrap().push(kind);
            to_server.write_u8(kind).await.unwrap();
        }
        to_server.write_u32(length).await.unwrap();
        to_server.write_all(&body).await.unwrap();
        is_first = false;
    }
    drop(to_server);
    back.abort();
}

/// A host that dies in the middle of a `COPY` would leave a backend that holds the rows it has read, for hours; what it has
/// not read whole it does not insert.
#[actix::test]
async fn a_batch_is_one_copy_data_message() {
    let database = migrated(Postgres::shared()).await;
    let server = database.url().parse::<tokio_postgres::Config>().unwrap().get_ports()[0];
    let sent = Sent::default();
    let port = relay(server, sent.clone()).await;
    let url = database.url().replace(&server.to_string(), &port.to_string());
    for attempt in [1, 2] {
        let bench = Bench::with(Config { url: Secret::new(url.clone()), ..config(&database) }, Default::default());
        sent.lock().unwrap().clear();
        let payload = format!(r#"{{"pad":"{}"}}"#, "x".repeat(1_000));
        let events = (0..2_000).map(|seq| (bench.delivery(Lane::TELEMETRY, seq, attempt).0, event(&payload)));
        bench.writer.do_send(Write { events: events.collect(), ..Write::default() });
        bench.settled(2_000).await;
        assert_eq!(bench.verdicts.count(Verdict::Done), 2_000);
        let sent = sent.lock().unwrap();
        let of = |kind: u8| sent.iter().filter(|one| **one == kind).count();
        // CopyDone ends each COPY: of the rows, and of those that went another way once more.
        assert!(of(b'c') >= 1 && of(b'd') == of(b'c'), "{} CopyData in {} COPY", of(b'd'), of(b'c'));
    }
}

//! `/console/events`: at most sixteen watch, others are answered meanwhile, and a drain ends the streams.

use ingest_kit::wait_for;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{KEY, Shown, shown};
use crate::world::{DEADLINE, World, start};

/// One who watches.
struct Viewer {
    lines: BufReader<TcpStream>,
    status: String,
}

impl Viewer {
    async fn of(shown: &Shown) -> Self {
        let mut socket = TcpStream::connect(&shown.address).await.expect("a connection");
        let request = format!("GET /console/events HTTP/1.1\r\nHost: admin\r\nX-Admin-Key: {KEY}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("a request");
        let mut lines = BufReader::new(socket);
        let mut status = String::new();
        lines.read_line(&mut status).await.expect("an answer");
        Self { lines, status }
    }

    /// The next event of this name; `None` where the stream ends.
    async fn next(&mut self, name: &str) -> Option<Value> {
        let next = async {
            let mut is_named = false;
            let mut line = String::new();
            while self.lines.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
                if let Some(event) = line.strip_prefix("event: ") {
                    is_named = event.trim() == name;
                } else if let Some(data) = line.strip_prefix("data: ").filter(|_| is_named) {
                    return Some(serde_json::from_str(data).expect("JSON"));
                }
                line.clear();
            }
            None
        };
        tokio::time::timeout(DEADLINE, next).await.expect("an event in time")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_may_watch_and_starve_nobody_until_the_drain_ends_their_streams() {
    let world = World::new().await;
    let (node, shown) = shown(&world);
    let mut node = start(node).await;
    let mut viewers = Vec::new();
    for _ in 0..16 {
        let viewer = Viewer::of(&shown).await;
        assert!(viewer.status.contains(" 200 "), "{}", viewer.status);
        viewers.push(viewer);
    }
    let refused = shown.get("/console/events").await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (503, Some("no_room")));
    assert!(refused.header("retry-after").is_some());

    // The first to come are the oldest connections, and others beyond the bound of short ones take none of them.
    for _ in 0..300 {
        assert_eq!(shown.get("/actors").await.status, 200);
    }
    let first = viewers[0].next("history").await.expect("the history");
    assert_eq!((first["fields"][0].as_str(), first["seconds"].as_u64()), (Some("epoch_seconds"), Some(300)));
    for viewer in &mut viewers {
        let one = viewer.next("snapshot").await.expect("an event");
        let other = viewer.next("snapshot").await.expect("another");
        assert_ne!(one["snapshot"]["as_of"], other["snapshot"]["as_of"]);
        assert!(other["point"].as_array().is_some_and(|point| point[0].is_number()));
    }
    assert_eq!(shown.snapshot().await["viewers"]["watching"], 16);
    assert_eq!(node.metrics().await.count("ingest_console_viewers", &[]), 16);

    // Who leaves makes room.
    viewers.truncate(15);
    wait_for("a place", DEADLINE, async || {
        let viewer = Viewer::of(&shown).await;
        let is_in = viewer.status.contains(" 200 ");
        viewers.extend(is_in.then_some(viewer));
        is_in
    })
    .await;
    node.sigterm();
    for viewer in &mut viewers {
        while viewer.next("snapshot").await.is_some() {}
    }
    assert_eq!(node.wait_exit(DEADLINE).await, Some(0));
}

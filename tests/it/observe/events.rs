//! `/console/events`: at most sixteen watch, others are answered meanwhile, one that does not read is closed, and a drain ends the
//! streams.

use ingest_kit::wait_for;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::{KEY, Shown, shown};
use crate::world::{DEADLINE, World, start};

/// One who watches.
struct Viewer {
    lines: BufReader<TcpStream>,
    status: String,
}

impl Viewer {
    async fn of(shown: &Shown) -> Self {
        Self::on(TcpStream::connect(&shown.address).await.expect("a connection")).await
    }

    /// One whose system takes hardly anything for it before it reads.
    async fn with_little_room(shown: &Shown) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(1024).expect("a small buffer");
        Self::on(socket.connect(shown.address.parse().expect("an address")).await.expect("a connection")).await
    }

    async fn on(mut socket: TcpStream) -> Self {
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
    // It reads the first line and no more.
    let stuck = Viewer::with_little_room(&shown).await;
    assert!(stuck.status.contains(" 200 "), "{}", stuck.status);
    let mut viewers = Vec::new();
    for _ in 1..16 {
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
    let figures = async || {
        let metrics = node.metrics().await;
        ["viewers", "viewers_dropped_total"].map(|of| metrics.count(&format!("ingest_console_{of}"), &[]))
    };
    assert_eq!((figures().await, &shown.snapshot().await["viewers"]["watching"]), ([16, 0], &16.into()));

    // Who does not read is closed, and nobody else notices.
    wait_for("the end of who does not read", DEADLINE, async || figures().await == [15, 1]).await;
    let mut left = Vec::new();
    let mut socket = stuck.lines.into_inner();
    let ended = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut left)).await.expect("its end in time");
    assert!(ended.is_err() || !left.ends_with(b"0\r\n\r\n"), "it is cut off, and not told that this is all");
    for viewer in &mut viewers {
        assert!(viewer.next("snapshot").await.is_some());
    }
    // Who leaves makes room, too.
    viewers.truncate(14);
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

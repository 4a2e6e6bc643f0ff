//! What it costs to look: the thread that takes a snapshot every second, and one viewer of the console.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ingest_kit::{NodeBuilder, free_port, procfs};

use crate::cases::{Load, Routes};
use crate::publisher::Publisher;
use crate::steady::{WARM_UP_SECS, seconds};
use crate::{Bench, DEADLINE, setting};

/// The case's name in `BENCH_CASES`.
pub(crate) const OBSERVE: &str = "observe";

/// The thread that takes the snapshots and writes what viewers get.
const THREAD: &str = "observe";

/// Opens the admin listener.
const KEY: &str = "only-for-this-machine-0123456789abcdef";

/// The node with an admin listener, and where that is.
pub(crate) fn watched(node: NodeBuilder) -> (NodeBuilder, String) {
    let address = format!("127.0.0.1:{}", free_port());
    (node.env("ADMIN_BIND", &address).env("ADMIN_KEY", KEY), address)
}

/// Somebody who watches the console. Reads as fast as it comes, on a thread of its own.
pub(crate) struct Viewer {
    reader: JoinHandle<(TcpStream, u64)>,
    /// The other half of its connection.
    connected: std::sync::mpsc::Receiver<TcpStream>,
}

impl Viewer {
    /// Watches as soon as the node listens.
    pub(crate) fn start(address: String) -> Self {
        let (sender, connected) = std::sync::mpsc::channel();
        let reader = thread::spawn(move || {
            let socket = connect(&address);
            let _ = sender.send(socket.try_clone().expect("a handle"));
            let mut snapshots = 0;
            for line in BufReader::new(socket.try_clone().expect("a handle")).lines() {
                // What ends it is the end of the stream, on either side.
                let Ok(line) = line else { break };
                snapshots += u64::from(line == "event: snapshot");
            }
            (socket, snapshots)
        });
        Self { reader, connected }
    }

    /// Ends it; how many snapshots it was sent.
    pub(crate) fn finish(self) -> u64 {
        let socket = self.connected.recv_timeout(DEADLINE).expect("a connection");
        // Where the node has ended it, there is nothing to be ended.
        let _ = socket.shutdown(Shutdown::Both);
        self.reader.join().expect("a viewer").1
    }
}

fn connect(address: &str) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(mut socket) => {
                let request = format!("GET /console/events HTTP/1.1\r\nHost: admin\r\nX-Admin-Key: {KEY}\r\n\r\n");
                socket.write_all(request.as_bytes()).expect("a request");
                return socket;
            }
            Err(error) => assert!(began.elapsed() < DEADLINE, "nobody listens on {address}: {error}"),
        }
        thread::sleep(Duration::from_millis(10)); // polls until the node listens
    }
}

impl Bench {
    /// The CPU time of the thread that takes the snapshots, without a viewer and with one; its line.
    pub(crate) async fn measure_observer(&mut self) -> String {
        let load = Load {
            devices: setting("BENCH_DEVICES", 1_000),
            tenants: setting("BENCH_TENANTS", 20),
            bad_one_in: 0,
            hot_one_in: 0,
            counted: true,
        };
        let (per_second, secs) = (setting("BENCH_RATE", 5_000_u64), seconds());
        self.renew(load).await;
        self.reset(Routes::None).await;
        let mut publisher = Publisher::new(self.nats.connect().await, load);
        let (node, address) = watched(self.node(None));
        let mut node = node.start();
        node.wait_ready(DEADLINE).await;
        let messages = per_second * (2 * (WARM_UP_SECS + secs));
        let publishing = tokio::spawn(async move { publisher.publish(messages, per_second).await });
        let alone = share(node.pid(), secs).await;
        let viewer = Viewer::start(address);
        let with_viewer = share(node.pid(), secs).await;
        let snapshots = viewer.finish();
        assert!(snapshots >= secs, "{snapshots} snapshots in {secs} s");
        publishing.await.expect("all is published");
        node.sigterm();
        assert_eq!(node.wait_exit(DEADLINE).await, Some(0), "the node's exit code");
        format!(
            "{OBSERVE}: at {per_second} messages/s over {secs} s each, the thread of the snapshots takes {:.2} % of a core without a \
             viewer of the console and {:.2} % with one ({snapshots} snapshots); the whole node {:.1} % and {:.1} %",
            alone.thread, with_viewer.thread, alone.node, with_viewer.node,
        )
    }
}

/// CPU time in percent of one core.
struct Share {
    thread: f64,
    node: f64,
}

/// What is used within this time, after a warm-up.
async fn share(pid: u32, secs: u64) -> Share {
    tokio::time::sleep(Duration::from_secs(WARM_UP_SECS)).await; // what is measured is a time
    let used = || {
        let thread = procfs::thread_cpu_time(pid, THREAD).expect("the thread of the snapshots");
        (Instant::now(), thread, procfs::cpu_time(pid).expect("the node"))
    };
    let (began, thread, node) = used();
    tokio::time::sleep(Duration::from_secs(secs)).await; // the time that it is measured over
    let (ended, thread_then, node_then) = used();
    let of = |cpu: Duration| cpu.as_secs_f64() / (ended - began).as_secs_f64() * 100.0;
    Share { thread: of(thread_then - thread), node: of(node_then - node) }
}

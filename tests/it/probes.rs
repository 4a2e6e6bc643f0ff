//! Probes are answered however many connections are open: otherwise any client could make Kubernetes restart a healthy pod.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ingest_kit::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::world::{DEADLINE, World, drain};

/// Sockets that hold on to whatever they get.
const HOGS: usize = 400;

/// As long as Kubernetes waits for a probe (k8s/base/run-deployment.yaml).
const PROBE: Duration = Duration::from_secs(2);

/// On a machine that is busy with other things a probe may take so many times what one takes that nobody hinders.
const HINDERED: u32 = 20;

/// How a socket hogs.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    /// Sends nothing.
    Silent,
    /// Sends a head without an end, a byte at a time.
    Trickle,
    /// Asks for the longest answer again and again, and reads none of it.
    Deaf,
    /// Sends a whole head, and a body that never ends.
    Body,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_may_ask_for_the_head_alone() {
    let world = World::new().await;
    let node = world.start_node().await;
    for path in ["/health", "/ready"] {
        let mut socket = TcpStream::connect(node.address()).await.unwrap();
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_hogging_sockets_fail_no_probe() {
    let world = World::new().await;
    let node = world.start_node().await;
    let mut unhindered = Duration::ZERO;
    for number in 0..12 {
        let asked = Instant::now();
        node.get(["/health", "/ready"][number % 2]).await.expect("an answer");
        unhindered = unhindered.max(asked.elapsed());
    }
    let bound = PROBE.max(HINDERED * unhindered);
    for behaviour in [Behaviour::Silent, Behaviour::Trickle, Behaviour::Deaf, Behaviour::Body] {
        let (opened, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut hogs = JoinSet::new();
        for _ in 0..HOGS {
            hogs.spawn(hog(node.address().to_owned(), behaviour, opened.clone(), stop.clone()));
        }
        wait_for("the sockets to be open", DEADLINE, async || opened.load(Ordering::SeqCst) >= HOGS).await;
        for number in 0..12 {
            let path = ["/health", "/ready"][number % 2];
            let answer = timeout(bound, node.get(path)).await;
            let status = answer.ok().flatten().map(|answer| answer.status);
            assert_eq!(status, Some(200), "{path}, probe {number} beside {HOGS} sockets, {behaviour:?}");
        }
        stop.store(true, Ordering::SeqCst);
        hogs.shutdown().await;
    }
    drain(node).await;
}

/// Connects, and again whenever it is thrown out.
async fn hog(address: String, behaviour: Behaviour, opened: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        if let Ok(socket) = TcpStream::connect(&address).await {
            opened.fetch_add(1, Ordering::SeqCst);
            hold(socket, behaviour).await;
        }
        // A flood of connections is another attack than holding them.
        sleep(Duration::from_millis(100)).await;
    }
}

/// Until the other side ends it.
async fn hold(mut socket: TcpStream, behaviour: Behaviour) {
    let (first, then): (&[u8], &[u8]) = match behaviour {
        Behaviour::Silent => (b"", b""),
        Behaviour::Trickle => (b"GET /metrics HTTP/1.1\r\nX-Slow: ", b"x"),
        Behaviour::Deaf => (b"GET /metrics HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"),
        Behaviour::Body => (b"POST /metrics HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    };
    let mut next = first;
    loop {
        if socket.write_all(next).await.is_err() {
            return;
        }
        next = then;
        if matches!(behaviour, Behaviour::Deaf) {
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        // The end of the connection is detected at once.
        if let Ok(Ok(0) | Err(_)) = timeout(Duration::from_secs(1), socket.read(&mut [0; 1024])).await {
            return;
        }
    }
}

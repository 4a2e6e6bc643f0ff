//! A TCP proxy that can make connections half-open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Stands between a client and a server. Runs as long as it is not dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    connections: Arc<Connections>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Connections {
    /// How many there were; the number of the last one.
    made: AtomicU64,
    /// Up to this number they are half-open.
    half_open: AtomicU64,
}

impl Proxy {
    /// A proxy in front of a server on a port of this machine.
    ///
    /// # Panics
    /// When it can't listen.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let connections = Arc::new(Connections::default());
        let accepting = tokio::spawn(accept(listener, server_port, connections.clone()));
        Self { port, connections, accepting }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> u64 {
        self.connections.made.load(Ordering::SeqCst)
    }

    /// Makes all connections half-open: what either side sends is discarded without an error. New ones work.
    pub fn forget_connections(&self) {
        self.connections.half_open.store(self.connections(), Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server_port: u16, connections: Arc<Connections>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = connections.made.fetch_add(1, Ordering::SeqCst) + 1;
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await else { continue };
        let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
        tokio::spawn(pass(number, client_in, server_out, connections.clone()));
        tokio::spawn(pass(number, server_in, client_out, connections.clone()));
    }
}

/// Forwards bytes, or discards them. The end of a half-open connection is not forwarded either.
async fn pass(number: u64, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, connections: Arc<Connections>) {
    let mut buffer = vec![0; 64 * 1024];
    let is_half_open = || number <= connections.half_open.load(Ordering::SeqCst);
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) if is_half_open() => std::future::pending().await,
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        if !is_half_open() && to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // Forwards the end of the stream.
    let _ = to.shutdown().await;
}

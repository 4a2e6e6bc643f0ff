//! Connections: a bound on their number, the end of those that stand still, and who is at their other end.
//!
//! The server itself bounds the time of a connection's first head alone; a client that then sends the next one byte by byte
//! would hold its connection for ever.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net;
use parking_lot::Mutex;

use super::common_name::common_name;
use crate::metrics::GatewayMetrics;

/// The open connections.
pub(super) struct Connections {
    open: Mutex<Open>,
    most: usize,
    started: Instant,
    metrics: Arc<GatewayMetrics>,
}

#[derive(Default)]
struct Open {
    admitted: u64,
    /// A second handle to each socket: shutting it down ends the task that serves it.
    sockets: HashMap<u64, (Arc<Activity>, TcpStream)>,
}

/// What a connection does.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests that are being answered.
    requests: AtomicU32,
    /// Milliseconds from the start to its last request's begin or end.
    last_ms: AtomicU64,
}

/// A connection's data, for the requests that come by it. Dropped, it frees its place.
#[derive(Clone)]
pub(super) struct Peer(Arc<PeerData>);

struct PeerData {
    number: u64,
    activity: Arc<Activity>,
    connections: Arc<Connections>,
    /// The common name of the certificate that the client has proven to hold; empty where it has none.
    common_name: Box<str>,
}

/// A request that is being answered, until it is dropped.
pub(super) struct Answering(Peer);

impl Connections {
    /// None yet, and space for so many.
    pub(super) fn new(most: usize, metrics: Arc<GatewayMetrics>) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), most, started: Instant::now(), metrics })
    }

    /// For [`actix_web::HttpServer::on_connect`]: admits a connection; its data hold its place.
    pub(super) fn admit(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        let (socket, common_name) = match connection.downcast_ref::<TlsStream<net::TcpStream>>() {
            Some(tls) => {
                let (socket, session) = tls.get_ref();
                let certificate = session.peer_certificates().and_then(<[_]>::first);
                (Some(socket), certificate.and_then(|certificate| common_name(certificate)).unwrap_or_default())
            }
            None => (connection.downcast_ref::<net::TcpStream>(), String::new()),
        };
        // Without a free file descriptor it is served without a place, within its timeouts.
        let handle = socket.and_then(|socket| socket.as_fd().try_clone_to_owned().ok());
        data.insert(self.enter(handle.map(TcpStream::from), common_name));
    }

    fn enter(self: &Arc<Self>, socket: Option<TcpStream>, common_name: String) -> Peer {
        let activity = Arc::<Activity>::default();
        activity.last_ms.store(self.now_ms(), Ordering::Relaxed);
        let mut open = self.open.lock();
        open.admitted += 1;
        let number = open.admitted;
        if let Some(socket) = socket {
            if open.sockets.len() >= self.most {
                self.close_idlest(&mut open);
            }
            open.sockets.insert(number, (activity.clone(), socket));
            self.metrics.http_connections.set(open.sockets.len() as i64);
        }
        Peer(Arc::new(PeerData { number, activity, connections: self.clone(), common_name: common_name.into() }))
    }

    /// Closes connections without a request for so long.
    pub(super) fn close_idle(&self, longest: Duration) {
        self.close_idle_at(self.now_ms(), longest);
    }

    fn close_idle_at(&self, now_ms: u64, longest: Duration) {
        let mut open = self.open.lock();
        let is_idle = |activity: &Activity| {
            activity
                .idle_since_ms()
                .is_some_and(|since_ms| now_ms.saturating_sub(since_ms) > longest.as_millis() as u64)
        };
        open.sockets.retain(|_, (activity, socket)| {
            let closes = is_idle(activity);
            if closes {
                self.close(socket);
            }
            !closes
        });
    }

    /// Closes the connection that has been idle longest, or where none is, the one whose request is oldest.
    fn close_idlest(&self, open: &mut Open) {
        let idlest = open.sockets.iter().min_by_key(|(_, (activity, _))| {
            (activity.requests.load(Ordering::Relaxed) > 0, activity.last_ms.load(Ordering::Relaxed))
        });
        if let Some(number) = idlest.map(|(number, _)| *number)
            && let Some((_, socket)) = open.sockets.remove(&number)
        {
            self.close(&socket);
        }
    }

    fn close(&self, socket: &TcpStream) {
        self.metrics.http_connections_closed.inc();
        // An error means that it has ended already.
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl Activity {
    fn idle_since_ms(&self) -> Option<u64> {
        (self.requests.load(Ordering::Relaxed) == 0).then(|| self.last_ms.load(Ordering::Relaxed))
    }
}

impl Peer {
    /// The common name of the client's verified certificate; empty where there is none.
    pub(super) fn common_name(&self) -> &str {
        &self.0.common_name
    }

    /// A request has come.
    pub(super) fn answering(&self) -> Answering {
        self.0.activity.requests.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let PeerData { activity, connections, .. } = &*self.0.0;
        activity.last_ms.store(connections.now_ms(), Ordering::Relaxed);
        activity.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for PeerData {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.sockets.remove(&self.number);
        self.connections.metrics.http_connections.set(open.sockets.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use crate::metrics::Metrics;

    fn pair(listener: &TcpListener) -> (TcpStream, Option<TcpStream>) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        (client, Some(listener.accept().unwrap().0))
    }

    fn is_closed(client: &mut TcpStream) -> bool {
        matches!(client.read(&mut [0]), Ok(0))
    }

    #[test]
    fn another_connection_takes_the_place_of_the_idlest_and_one_that_stands_still_is_closed() {
        let metrics = Metrics::new();
        let (connections, listener) =
            (Connections::new(2, metrics.gateway.clone()), TcpListener::bind("127.0.0.1:0").unwrap());
        let (mut busy, server) = pair(&listener);
        let busy_peer = connections.enter(server, String::new());
        let answering = busy_peer.answering();
        let (mut idle, server) = pair(&listener);
        let _idle_peer = connections.enter(server, String::new());
        let (mut third, server) = pair(&listener);
        let third_peer = connections.enter(server, "acme/dev-1".to_owned());
        assert_eq!((is_closed(&mut busy), is_closed(&mut idle), is_closed(&mut third)), (false, true, false));
        assert_eq!((third_peer.common_name(), metrics.gateway.http_connections.get()), ("acme/dev-1", 2));

        connections.close_idle_at(connections.now_ms() + 6_000, Duration::from_secs(5));
        assert_eq!((is_closed(&mut busy), is_closed(&mut third)), (false, true));
        drop(answering);
        connections.close_idle(Duration::from_secs(60));
        assert!(!is_closed(&mut busy));
        drop((busy_peer, third_peer));
        assert_eq!(metrics.gateway.http_connections.get(), 0);
        assert_eq!(metrics.gateway.http_connections_closed.get(), 2);
    }
}

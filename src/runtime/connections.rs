//! Connection limit that closes the oldest connection instead of refusing the new one.
//!
//! A limit that refuses or queues new connections can be exhausted by any client: then the probes of Kubernetes fail too, and
//! a healthy pod is restarted. A probe takes milliseconds, so it is never the oldest.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net;
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpSocket;

/// Most connections at once.
const MOST: usize = 256;

/// A connection older than this is closed when the next one arrives: no request takes as long.
const LONGEST: Duration = Duration::from_secs(10);

/// What the system keeps at most of what was sent to a peer that holds its connection and does not read. By itself it would keep
/// megabytes, and minutes would pass until anybody noticed.
const HELD_SEND_BUFFER: u32 = 32 * 1024;

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    admitted: u64,
    /// A second handle to each socket, in the order of arrival: shutting it down ends the task that serves it.
    sockets: BTreeMap<u64, (Instant, TcpStream)>,
}

/// A connection's slot, freed on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u64,
    connections: Arc<Connections>,
}

/// A connection that is held as long as its owner wants it.
#[derive(Debug)]
pub(crate) struct Held(TcpStream);

impl Held {
    /// Closes the connection, also where its peer does not read.
    pub(crate) fn close(&self) {
        // An error means that it has ended already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Slot {
    /// Takes the connection from those that make room for others; whoever holds it bounds how many there are. `None` where it is
    /// held already, or is about to be closed.
    pub(crate) fn hold(&self) -> Option<Held> {
        let (_, socket) = self.connections.open().sockets.remove(&self.number)?;
        // Where it can't be set the peer is only dropped later.
        if let Ok(same) = socket.try_clone() {
            let _ = TcpSocket::from_std_stream(same).set_send_buffer_size(HELD_SEND_BUFFER);
        }
        Some(Held(socket))
    }
}

impl Connections {
    /// For [`actix_web::HttpServer::on_connect`]: admits a connection; its data hold the slot.
    pub(crate) fn admit(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        // Without a free file descriptor it is served without a slot, within its timeouts.
        let handle = connection.downcast_ref::<net::TcpStream>().and_then(|it| it.as_fd().try_clone_to_owned().ok());
        if let Some(handle) = handle {
            data.insert(self.slot(handle.into(), Instant::now()));
        }
    }

    fn slot(self: &Arc<Self>, socket: TcpStream, now: Instant) -> Slot {
        let mut open = self.open();
        open.close_oldest(now);
        open.admitted += 1;
        let number = open.admitted;
        open.sockets.insert(number, (now, socket));
        Slot { number, connections: self.clone() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock()
    }
}

impl Open {
    fn close_oldest(&mut self, now: Instant) {
        while let Some((_, (since, socket))) = self.sockets.first_key_value() {
            if self.sockets.len() < MOST && now.duration_since(*since) < LONGEST {
                return;
            }
            // An error means that it has ended already.
            let _ = socket.shutdown(Shutdown::Both);
            self.sockets.pop_first();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open().sockets.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// Both ends of a connection.
    fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn is_closed(client: &mut TcpStream) -> bool {
        matches!(client.read(&mut [0]), Ok(0))
    }

    #[test]
    fn a_new_connection_takes_the_slot_of_the_oldest() {
        let (connections, listener) = (Arc::<Connections>::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let now = Instant::now();
        let mut held = Vec::new();
        for _ in 0..MOST {
            let (client, server) = pair(&listener);
            held.push((client, connections.slot(server, now)));
        }
        assert!(held.iter_mut().all(|(client, _)| !is_closed(client)));
        // A freed slot serves the next connection.
        held.remove(100);
        let (client, server) = pair(&listener);
        held.push((client, connections.slot(server, now)));
        assert!(!is_closed(&mut held[0].0));

        let (mut newest, server) = pair(&listener);
        let _slot = connections.slot(server, now);
        assert_eq!(connections.open().sockets.len(), MOST);
        let closed: Vec<usize> = (0..MOST).filter(|at| is_closed(&mut held[*at].0)).collect();
        assert_eq!((closed, is_closed(&mut newest)), (vec![0], false));
    }

    #[test]
    fn a_connection_that_is_held_takes_no_slot_and_stays_until_it_is_closed() {
        let (connections, listener) = (Arc::<Connections>::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let now = Instant::now();
        let (mut client, server) = pair(&listener);
        let slot = connections.slot(server, now);
        let held = slot.hold().unwrap();
        assert!(slot.hold().is_none());
        assert_eq!(connections.open().sockets.len(), 0);
        let (_, server) = pair(&listener);
        let _later = connections.slot(server, now + LONGEST);
        assert!(!is_closed(&mut client));
        held.close();
        assert!(is_closed(&mut client));
    }

    #[test]
    fn a_connection_that_is_too_old_is_closed_when_the_next_one_arrives() {
        let (connections, listener) = (Arc::<Connections>::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let now = Instant::now();
        let (mut old, server) = pair(&listener);
        let _old = connections.slot(server, now);
        let (mut young, server) = pair(&listener);
        let _young = connections.slot(server, now + Duration::from_secs(1));
        let (_, server) = pair(&listener);
        let _new = connections.slot(server, now + LONGEST);
        assert_eq!((is_closed(&mut old), is_closed(&mut young)), (true, false));
    }
}

//! Bounds how many connections are open at once: a new one always gets in, in the place of the oldest.
//!
//! A bound that turns new connections away, or lets them wait, is a bound that a stranger can fill: then the probe of
//! Kubernetes waits too, and a healthy pod is killed. A probe takes milliseconds, so it is never the oldest.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net;

/// Most connections at once.
const MOST: usize = 256;

/// A connection that is older is closed when the next one comes: nothing that is served here takes so long.
const LONGEST: Duration = Duration::from_secs(10);

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    admitted: u64,
    /// A second handle to each socket, by the order of their arrival: closing it wakes whoever serves it.
    sockets: BTreeMap<u64, (Instant, TcpStream)>,
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
struct Place {
    number: u64,
    connections: Arc<Connections>,
}

impl Connections {
    /// For [`actix_web::HttpServer::on_connect`]: admits a connection, for as long as its data lives.
    pub(super) fn admit(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        // Without a descriptor to spare it is served all the same, within the bounds on its time.
        let handle = connection.downcast_ref::<net::TcpStream>().and_then(|it| it.as_fd().try_clone_to_owned().ok());
        if let Some(handle) = handle {
            data.insert(self.place(handle.into(), Instant::now()));
        }
    }

    fn place(self: &Arc<Self>, socket: TcpStream, now: Instant) -> Place {
        let mut open = self.open();
        open.make_room(now);
        open.admitted += 1;
        let number = open.admitted;
        open.sockets.insert(number, (now, socket));
        Place { number, connections: self.clone() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn make_room(&mut self, now: Instant) {
        while let Some((_, (since, socket))) = self.sockets.first_key_value() {
            if self.sockets.len() < MOST && now.duration_since(*since) < LONGEST {
                return;
            }
            // One that has ended meanwhile says so; all the same it makes room.
            let _ = socket.shutdown(Shutdown::Both);
            self.sockets.pop_first();
        }
    }
}

impl Drop for Place {
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
    fn a_new_connection_takes_the_place_of_the_oldest() {
        let (connections, listener) = (Arc::<Connections>::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let now = Instant::now();
        let mut held = Vec::new();
        for _ in 0..MOST {
            let (client, server) = pair(&listener);
            held.push((client, connections.place(server, now)));
        }
        assert!(held.iter_mut().all(|(client, _)| !is_closed(client)));
        // A place that was left serves the next one.
        held.remove(100);
        let (client, server) = pair(&listener);
        held.push((client, connections.place(server, now)));
        assert!(!is_closed(&mut held[0].0));

        let (mut newest, server) = pair(&listener);
        let _place = connections.place(server, now);
        assert_eq!(connections.open().sockets.len(), MOST);
        let closed: Vec<usize> = (0..MOST).filter(|at| is_closed(&mut held[*at].0)).collect();
        assert_eq!((closed, is_closed(&mut newest)), (vec![0], false));
    }

    #[test]
    fn a_connection_that_is_too_old_goes_when_the_next_one_comes() {
        let (connections, listener) = (Arc::<Connections>::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let now = Instant::now();
        let (mut old, server) = pair(&listener);
        let _old = connections.place(server, now);
        let (mut young, server) = pair(&listener);
        let _young = connections.place(server, now + Duration::from_secs(1));
        let (_, server) = pair(&listener);
        let _new = connections.place(server, now + LONGEST);
        assert_eq!((is_closed(&mut old), is_closed(&mut young)), (true, false));
    }
}

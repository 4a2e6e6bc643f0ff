//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Where they are handed out: below those that Linux gives to outgoing connections (32768 and above). One of these would take
/// the port of a server that is down for a while.
const RANGE: Range<u16> = 20_000..32_000;
/// Ports that a process claims together, by listening at the first.
const BLOCK: u16 = 100;
const BLOCKS: u16 = (RANGE.end - RANGE.start) / BLOCK;

/// What this process has claimed.
struct Claimed {
    left: Range<u16>,
    /// Of every block the first port: no other process of ours claims it.
    marks: Vec<TcpListener>,
}

/// A loopback TCP port that is free, and that no process of ours returns as long as this one lives: tests run side by side,
/// and a server that is down for a while must get its port back.
///
/// # Panics
/// When no port is left.
pub fn free_port() -> u16 {
    static CLAIMED: Mutex<Claimed> = Mutex::new(Claimed { left: 0..0, marks: Vec::new() });
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(port) = claimed.left.find(|port| is_free(*port)) {
            return port;
        }
        let first_choice = std::process::id() % u32::from(BLOCKS);
        let blocks = (0..BLOCKS).map(|number| (first_choice as u16 + number) % BLOCKS);
        let mut starts = blocks.map(|block| RANGE.start + block * BLOCK);
        let (start, mark) =
            starts.find_map(|start| Some((start, listen(start)?))).expect("a loopback port that is left");
        claimed.marks.push(mark);
        claimed.left = start + 1..start + BLOCK;
    }
}

/// Whether nobody listens there. Asked by a connection: a listener of our own, closed at once, lives on for a moment in every process that
/// is being forked just then, and would be in the way of who gets the port.
fn is_free(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_free_and_handed_out_once_below_those_of_outgoing_connections() {
        let ports: Vec<u16> = (0..250).map(|_| free_port()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| RANGE.contains(port) && listen(*port).is_some()));
    }
}

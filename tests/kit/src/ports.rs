//! Free loopback ports.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// A loopback TCP port that was free a moment ago and that this process has not returned before: tests of one binary
/// run side by side, and a server that is down for a while must get its port back.
///
/// # Panics
/// When the machine has no free port left.
pub fn free_port() -> u16 {
    static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let handed_out = handed_out.get_or_insert_default();
    for _ in 0..1_000 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("the address of a bound listener").port();
        if handed_out.insert(port) {
            return port;
        }
    }
    panic!("no loopback port left that this process has not used yet");
}

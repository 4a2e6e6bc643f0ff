//! The machine: open files, and the address of the probes.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::preflight::result::CheckResult;
use crate::runtime::descriptors;

/// What a result about the probes' address is about.
pub(super) const HTTP: &str = "http";

/// What a result about the address of administration is about.
pub(super) const ADMIN: &str = "admin";

/// Whether enough files may be open at once.
pub(super) fn descriptors() -> CheckResult {
    descriptors::raise_limit();
    match descriptors::shortage() {
        None => CheckResult::ok("open files", "the limit is high enough"),
        Some(shortage) => {
            let (found, advice) = shortage.split_once(": ").unwrap_or((&shortage, "raise the hard limit"));
            CheckResult::err("open files", found, advice)
        }
    }
}

/// Whether the node can listen for probes where it is to, or one does already.
pub(super) async fn http(bind: SocketAddr) -> CheckResult {
    listener((HTTP, "HTTP_BIND"), bind, bind).await
}

/// Whether the node can listen for administration where it is to. One whose probes are at `http` does already: its admin
/// listener would count a look as a wrong key.
pub(super) async fn admin(bind: SocketAddr, http: SocketAddr) -> CheckResult {
    listener((ADMIN, "ADMIN_BIND"), bind, http).await
}

async fn listener((about, setting): (&str, &str), bind: SocketAddr, probes: SocketAddr) -> CheckResult {
    let advice = format!("set {setting} to an address of this machine and a port that is free");
    match TcpListener::bind(bind) {
        Ok(_) => CheckResult::ok(about, format!("{bind} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => match is_node(reachable(probes)).await {
            true => CheckResult::ok(about, format!("a node runs there already, at {bind}")),
            false => CheckResult::err(about, format!("{setting}: another program listens at {bind}"), advice),
        },
        Err(error) => CheckResult::err(about, format!("{setting}: nobody can listen at {bind}: {error}"), advice),
    }
}

/// Where a program that listens everywhere is reached.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

/// Whether the program there has the metrics of a node.
async fn is_node(address: SocketAddr) -> bool {
    let asked = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        socket.take(4 * 1024 * 1024).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).contains("ingest_ready"))
    };
    let bound = std::time::Duration::from_secs(3);
    tokio::time::timeout(bound, asked).await.is_ok_and(|answered| answered.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        let asked = |bind: &str| reachable(bind.parse().unwrap()).to_string();
        assert_eq!((asked("0.0.0.0:80"), asked("[::]:80")), ("127.0.0.1:80".to_owned(), "[::1]:80".to_owned()));
        assert_eq!(asked("10.0.0.1:80"), "10.0.0.1:80");
    }
}

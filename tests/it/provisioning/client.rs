//! A client of the admin listener: each request a connection of its own, from an address of choice.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Longer than any request may take.
const BOUND: Duration = Duration::from_secs(30);

/// Who asks, and how.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    pub address: String,
    key: Option<String>,
    from: SocketAddr,
    header: Option<&'static str>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub body: Value,
}

impl Admin {
    pub(super) fn at(address: &str, key: &str) -> Self {
        let from = "127.0.0.1:0".parse().expect("an address");
        Self { address: address.to_owned(), key: Some(key.to_owned()), from, header: None }
    }

    pub(super) fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    pub(super) fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// From this address of the machine.
    pub(super) fn from(&self, ip: &str) -> Self {
        Self { from: format!("{ip}:0").parse().expect("an address"), ..self.clone() }
    }

    /// With this header line, too.
    pub(super) fn with_header(&self, line: &'static str) -> Self {
        Self { header: Some(line), ..self.clone() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, b"").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, body.to_string().as_bytes()).await
    }

    /// A request whose body is these bytes.
    pub(super) async fn request(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.send(method, path, body.len(), body).await
    }

    /// A request that claims a body of this length.
    pub(super) async fn send(&self, method: &str, path: &str, claimed: usize, body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: {claimed}\r\n");
        head.extend(self.key.iter().map(|key| format!("X-Admin-Key: {key}\r\n")));
        head.extend(self.header.iter().map(|line| format!("{line}\r\n")));
        let exchange = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(self.from)?;
            let mut socket = socket.connect(self.address.parse().expect("an address")).await?;
            socket.write_all(format!("{head}\r\n").as_bytes()).await?;
            socket.write_all(body).await?;
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(BOUND, exchange).await.expect("an answer in time").expect("an answer");
        parse(&String::from_utf8(answer).expect("UTF-8"))
    }
}

impl Answer {
    /// A member that is text.
    pub(super) fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }

    /// Its status and error.
    pub(super) fn error(&self) -> (u16, &str) {
        assert!(self.body["detail"].is_string(), "{self:?}");
        (self.status, self.body["error"].as_str().unwrap_or_else(|| panic!("no error in {self:?}")))
    }
}

fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let retry_after = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("retry-after").then(|| value.parse().expect("whole seconds"))
    });
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("no JSON ({error}): {answer}"));
    Answer { status, retry_after, body }
}

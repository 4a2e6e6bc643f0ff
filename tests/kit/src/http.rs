//! The smallest HTTP client that can look at a node and at the stand-in: one request, one connection, no pool.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines.
    head: String,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// The value of a header; `None` where it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value.trim()))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{} is no JSON ({e}): {}", self.status, self.body))
    }
}

/// `GET http://{address}{path}`.
///
/// # Errors
/// When there is no connection, or no proper answer within ten seconds.
pub async fn get(address: &str, path: &str) -> io::Result<Response> {
    request(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"), &[]).await
}

/// As [`get`], with further header lines (`Name: value`).
///
/// # Errors
/// As [`get`].
pub async fn get_with(address: &str, path: &str, headers: &[&str]) -> io::Result<Response> {
    let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    request(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{lines}\r\n"), &[]).await
}

/// `POST http://{address}{path}` with further header lines (`Name: value`).
///
/// # Errors
/// As [`get`].
pub async fn post(address: &str, path: &str, headers: &[&str], body: &[u8]) -> io::Result<Response> {
    let mut head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    request(address, &head, body).await
}

async fn request(address: &str, head: &str, body: &[u8]) -> io::Result<Response> {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(body).await?;
        let mut answer = Vec::new();
        // HTTP/1.0: the server closes the connection at the end of the body, and does not send it in chunks.
        socket.read_to_end(&mut answer).await?;
        parse(&answer)
    };
    tokio::time::timeout(Duration::from_secs(10), exchange)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Response { status, head: head.to_owned(), body: body.to_owned() })
}

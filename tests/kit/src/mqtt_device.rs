//! A device that speaks MQTT 3.1.1 and knows which of its messages the broker has acknowledged. It never sends one again, as a
//! ready-made client would after a broken connection: so one message is one row, or none.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Messages on their way at once.
const WINDOW: usize = 100;
/// Bound on the broker's answers.
const SILENT: Duration = Duration::from_secs(20);

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const DISCONNECT: u8 = 0xE0;
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PUBACK: [u8; 2] = [0x40, 2];
const CLEAN_SESSION: u8 = 0x02;

/// A connection to a broker on this machine.
#[derive(Debug)]
pub struct MqttDevice {
    connection: BufReader<TcpStream>,
    /// Packet ids of what is not acknowledged yet.
    open: VecDeque<u16>,
    next_id: u16,
}

impl MqttDevice {
    /// Connects with this client id, and a user's name and password where the broker wants one.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub fn connect(port: u16, client_id: &str, user: Option<(&str, &str)>) -> io::Result<Self> {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        connection.set_read_timeout(Some(SILENT))?;
        connection.set_nodelay(true)?;
        let flags = if user.is_some() { CLEAN_SESSION | 0xC0 } else { CLEAN_SESSION };
        let mut body = [text("MQTT").as_slice(), &[4, flags, 0, 60], &text(client_id)].concat();
        for part in user.iter().flat_map(|(name, password)| [name, password]) {
            body.extend(text(part));
        }
        let mut device = Self { connection: BufReader::new(connection), open: VecDeque::new(), next_id: 0 };
        device.send(CONNECT, &body)?;
        let mut answer = [0; 4];
        device.connection.read_exact(&mut answer)?;
        if answer == CONNACK { Ok(device) } else { Err(io::Error::other(format!("not accepted: {answer:?}"))) }
    }

    /// Publishes with QoS 1; `acknowledged` is called with each message's number in this call, as the broker acknowledges it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn publish(
        &mut self,
        messages: impl IntoIterator<Item = (impl AsRef<[u8]>, Vec<u8>)>,
        mut acknowledged: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut confirmed = 0;
        for (topic, payload) in messages {
            self.next_id = self.next_id % u16::MAX + 1;
            let body = [text(topic).as_slice(), &self.next_id.to_be_bytes(), &payload].concat();
            self.send(PUBLISH | 0x02, &body)?;
            self.open.push_back(self.next_id);
            if self.open.len() >= WINDOW {
                self.read_ack()?;
                acknowledged(confirmed);
                confirmed += 1;
            }
        }
        while !self.open.is_empty() {
            self.read_ack()?;
            acknowledged(confirmed);
            confirmed += 1;
        }
        Ok(())
    }

    /// Publishes one message with QoS 0.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn publish_at_most_once(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        self.send(PUBLISH, &[text(topic).as_slice(), payload].concat())
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut packet = vec![kind];
        let mut left = body.len();
        while left > 127 {
            packet.push((left % 128) as u8 | 0x80);
            left /= 128;
        }
        packet.push(left as u8);
        packet.extend_from_slice(body);
        self.connection.get_mut().write_all(&packet)
    }

    /// Reads the oldest message's acknowledgement: a broker sends them in order.
    fn read_ack(&mut self) -> io::Result<()> {
        let mut packet = [0; 4];
        self.connection.read_exact(&mut packet)?;
        let [first, second, high, low] = packet;
        let expected = self.open.pop_front();
        if [first, second] != PUBACK || Some(u16::from_be_bytes([high, low])) != expected {
            return Err(io::Error::other(format!("no acknowledgement of {expected:?}: {packet:?}")));
        }
        Ok(())
    }
}

impl Drop for MqttDevice {
    fn drop(&mut self) {
        // A broker that is gone needs none.
        let _ = self.send(DISCONNECT, &[]);
    }
}

/// A text, or what should be one, with its length before it.
fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes(), text].concat()
}

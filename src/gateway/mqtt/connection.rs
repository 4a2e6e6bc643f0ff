//! One connection to the broker: how it is opened, and what its errors mean.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, MqttOptions, NetworkOptions, Outgoing,
    QoS, StateError, SubAck, SubscribeReasonCode, TlsConfiguration, Transport,
};
use thiserror::Error;

use super::config::{CA_FILE, Config};
use crate::runtime::tls::{advice, without_clock};

/// Bound on a connection, from the first packet to the broker's answer.
const CONNECT_SECS: u64 = 5;
/// Requests that may wait to be sent: one acknowledgement for each packet id, so that there is always room for one more.
const REQUESTS: usize = 65_536 + 16;
/// The largest packet that MQTT knows. One that is refused would come again with every connection; the broker's own limit is the
/// one to set.
const MAX_PACKET: usize = 268_435_455 + 5;

/// A connection that the broker has accepted.
pub(crate) struct Connection {
    /// Sends requests; never waits.
    pub client: AsyncClient,
    /// Receives, and sends what is requested.
    pub events: EventLoop,
    /// Whether the broker knew the session.
    pub session_present: bool,
}

impl Connection {
    /// Ends it in order.
    pub(crate) async fn close(mut self) {
        if self.client.try_disconnect().is_ok() {
            while self.events.poll().await.is_ok_and(|event| event != Event::Outgoing(Outgoing::Disconnect)) {}
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// A file can't be used; one sentence.
    #[error("{0}")]
    Settings(String),
    /// The log-in is refused, in the broker's words.
    #[error("the broker refuses the log-in: {0}")]
    LogIn(&'static str),
    /// The broker refuses for another reason, in its words.
    #[error("the broker refuses: {0}")]
    Refused(&'static str),
    /// There is no answer.
    #[error("{0}")]
    Away(String),
}

/// Opens a connection under this client id. Password and certificates are read now.
///
/// # Errors
/// When there is none within five seconds, or the broker refuses it.
pub(crate) async fn open(
    config: &Config,
    client_id: &str,
    clean_session: bool,
    keep_alive: Duration,
) -> Result<Connection, ConnectError> {
    let host = config.host.clone().unwrap_or_default();
    let mut options = MqttOptions::new(client_id, host, config.port());
    options
        .set_clean_session(clean_session)
        .set_keep_alive(keep_alive)
        .set_manual_acks(true)
        .set_max_packet_size(MAX_PACKET, MAX_PACKET);
    if let Some(name) = &config.username {
        options.set_credentials(name, config.password.expose().to_string());
    }
    if let Some(files) = config.tls_files() {
        let tls = files.client_config().map_err(|error| ConnectError::Settings(error.to_string()))?;
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::new(tls))));
    }
    let (client, mut events) = AsyncClient::new(options, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(CONNECT_SECS).set_tcp_nodelay(true);
    events.set_network_options(network);
    match events.poll().await {
        Ok(Event::Incoming(Incoming::ConnAck(answer))) => {
            Ok(Connection { client, events, session_present: answer.session_present })
        }
        Ok(other) => Err(ConnectError::Away(format!("the broker answers with something else: {other:?}"))),
        Err(ConnectionError::ConnectionRefused(code)) => Err(refused(config, code)),
        Err(error) => Err(ConnectError::Away(describe(&error, config))),
    }
}

fn refused(config: &Config, code: ConnectReturnCode) -> ConnectError {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            config.password.report_refused();
            ConnectError::LogIn(match code {
                ConnectReturnCode::NotAuthorized => "not authorized",
                _ => "bad user name or password",
            })
        }
        ConnectReturnCode::BadClientId => ConnectError::Refused("identifier rejected (MQTT_CLIENT_ID)"),
        ConnectReturnCode::ServiceUnavailable => ConnectError::Refused("server unavailable"),
        ConnectReturnCode::RefusedProtocolVersion => ConnectError::Refused("unacceptable protocol version (3.1.1)"),
        ConnectReturnCode::Success => ConnectError::Refused("no reason"),
    }
}

/// What the broker says to a subscription with QoS 1.
///
/// # Errors
/// A sentence, where it is refused or less is granted.
pub(crate) fn granted(answer: &SubAck) -> Result<(), &'static str> {
    match answer.return_codes.first() {
        Some(SubscribeReasonCode::Success(QoS::AtLeastOnce)) => Ok(()),
        Some(SubscribeReasonCode::Success(QoS::AtMostOnce)) => {
            Err("the broker grants QoS 0 only, with which it would keep no message")
        }
        Some(SubscribeReasonCode::Success(QoS::ExactlyOnce)) => Err("the broker grants QoS 2, which was not asked for"),
        Some(SubscribeReasonCode::Failure) | None => Err("the broker refuses the subscription (0x80)"),
    }
}

/// Why a connection ended or could not be made, with what to do where that is known.
pub(super) fn describe(error: &ConnectionError, config: &Config) -> String {
    let text = match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            return format!(
                "the broker closed the connection; if that repeats, another client has the id {}",
                config.client_id
            );
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => return "the broker does not answer".to_owned(),
        ConnectionError::NetworkTimeout => return format!("no answer within {CONNECT_SECS} s"),
        ConnectionError::FlushTimeout => return format!("the broker takes nothing for {CONNECT_SECS} s"),
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        error => error.to_string(),
    };
    match advice(error, CA_FILE, "the broker's settings") {
        Some(advice) => format!("{} ({advice})", without_clock(&text)),
        None => text,
    }
}

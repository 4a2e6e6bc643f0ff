//! The way in from an MQTT broker: a persistent session that takes what devices publish, and acknowledges it when its stream
//! has it.
//!
//! `PUBLISH -> intake -> StreamPublisher -> PubAck -> PUBACK`; without a PubAck there is no PUBACK. A broker sends what was not
//! acknowledged again only after a new connection, so a message that is not stored ends the connection.

mod acknowledge;
mod config;
mod connection;
mod conversation;
mod retire;
mod session;
mod shared;
mod taker;

pub(crate) use self::config::Config;
pub(crate) use self::connection::{ConnectError, Connection, granted, open};
pub(crate) use self::retire::retire;
pub(crate) use self::session::{Parts, Session};
pub(crate) use self::shared::BrokerLink;

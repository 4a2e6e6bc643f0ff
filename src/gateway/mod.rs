//! The gateway: ways in that keep no message and give it no name (HTTP, MQTT brokers). Each makes the envelope, publishes it
//! into JetStream and answers its client after the stream's acknowledgement (PubAck), and never without one.

mod config;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod mqtt;
mod publisher;
mod stream_watch;
mod streams;

pub(crate) use self::config::Config;
pub(crate) use self::publisher::{NotStored, Pending, StreamPublisher, Via};
pub(crate) use self::stream_watch::{Parts as StreamWatchParts, StreamWatch};
pub(crate) use self::streams::Streams;

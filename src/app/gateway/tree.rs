//! The list of the gateway's children, bottom-up: what others send to comes first. Draining goes the other way.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_nats::Client;

use super::wiring::Addresses;
use crate::config::Config;
use crate::gateway::{Publisher, StreamWatch, StreamWatchParts, mqtt};
use crate::message::Drain;
use crate::runtime::spawn::{SpawnContext, start};
use crate::supervisor::child::Factory;

/// What children are made of, the same for every generation.
pub(super) struct Ingredients {
    /// The whole configuration.
    pub config: Config,
    /// The connection that publishes.
    pub client: Client,
    /// Publishes on it, within one window for all ways in.
    pub publisher: Publisher,
    /// Whether the streams take messages.
    pub takes: Arc<AtomicBool>,
}

/// The list.
pub(super) fn factories(ingredients: Arc<Ingredients>) -> Vec<Factory<Addresses>> {
    let mut list = vec![stream_watch(ingredients.clone())];
    list.extend(ingredients.config.mqtt.host.is_some().then(|| mqtt_session(ingredients)));
    list
}

fn mqtt_session(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    factory("mqtt-session", "mqtt", "mqtt", move |_, spawn| {
        let place = spawn.place();
        let link = mqtt::Link {
            config: ingredients.config.mqtt.clone(),
            publish_timeout: ingredients.config.gateway.publish_timeout(),
            publisher: ingredients.publisher.clone(),
            client: ingredients.client.clone(),
            takes: ingredients.takes.clone(),
        };
        Ok(start(&place, mqtt::Session::new(mqtt::Parts { spawn, link })).recipient())
    })
}

fn stream_watch(ingredients: Arc<Ingredients>) -> Factory<Addresses> {
    factory("stream-watch", "gateway", "side", move |_, spawn| {
        let place = spawn.place();
        let parts = StreamWatchParts { client: ingredients.client.clone(), takes: ingredients.takes.clone(), spawn };
        Ok(start(&place, StreamWatch::new(parts)).recipient())
    })
}

fn factory(
    name: &'static str,
    component: &'static str,
    thread: &str,
    build: impl Fn(&mut Addresses, SpawnContext) -> Result<actix::Recipient<Drain>, String> + 'static,
) -> Factory<Addresses> {
    Factory { name, component, thread: thread.to_owned(), build: Box::new(build) }
}

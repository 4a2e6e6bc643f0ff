//! The `[mqtt]` table.

use std::path::PathBuf;

use crate::runtime::secret::Secret;
use crate::runtime::setting::settings;
use crate::runtime::tls::{FileSetting, TlsFiles};
use ingest_core::message::mqtt::is_filter;

/// The setting of the authorities, as operators know it.
pub(super) const CA_FILE: &str = "MQTT_CA_FILE";
/// The client id where none is set.
const CLIENT_ID: &str = "ingest-gateway";
/// Longest client id: it is part of every message's id.
const MAX_CLIENT_ID: usize = 128;

settings! {
    /// The `[mqtt]` table.
    pub(crate) struct Config in "mqtt" {
        /// The broker's name or address; without one, no broker is read.
        host: Option<String> = None, Text, "MQTT_HOST";
        /// The broker's port; 1883 where none is set, and 8883 with `MQTT_CA_FILE`.
        port: Option<u16> = None, whole(1, 65_535), "MQTT_PORT";
        /// The user, with `MQTT_PASSWORD`.
        username: Option<String> = None, Text, "MQTT_USERNAME";
        /// The user's password.
        password: Secret = Secret::default(), Secret, "MQTT_PASSWORD";
        /// The filter of the topics that are read.
        topic: String = "tenant/+/device/+/#".to_owned(), Text, "MQTT_TOPIC";
        /// Certificates (PEM) of the authority that vouches for the broker; TLS is demanded.
        ca_file: Option<PathBuf> = None, Path, "MQTT_CA_FILE";
        /// The name of the session at the broker. It must stay the same, for the broker keeps messages under it, and no other
        /// client may have it.
        client_id: String = CLIENT_ID.to_owned(), Text, "MQTT_CLIENT_ID";
        /// The group of a shared subscription (`$share/{group}/{topic}`), for several gateways, each with a client id of its
        /// own.
        share_group: Option<String> = None, Text, "MQTT_SHARE_GROUP";
    }
}

impl Config {
    /// The filter that the broker is asked for.
    pub(crate) fn filter(&self) -> String {
        match &self.share_group {
            Some(group) => format!("$share/{group}/{}", self.topic),
            None => self.topic.clone(),
        }
    }

    /// The broker's port.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.ca_file.is_some() { 8_883 } else { 1_883 })
    }

    /// The files of TLS; `None` where the connection is not encrypted.
    pub(super) fn tls_files(&self) -> Option<TlsFiles> {
        let roots = FileSetting::new(CA_FILE, Some(self.ca_file.as_deref()?));
        Some(TlsFiles { roots, ..TlsFiles::default() })
    }

    /// What can't work about these settings, a sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let is_id = |id: &str| id.len() <= MAX_CLIENT_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
        let is_group = |group: &str| !group.contains(['/', '+', '#']);
        let rules = [
            (self.username.is_some() || self.password.is_empty(), "MQTT_PASSWORD is set and MQTT_USERNAME is not"),
            (is_filter(&self.topic), "MQTT_TOPIC must be a filter like tenant/+/device/+/#"),
            (
                !self.topic.starts_with("$share/"),
                "MQTT_TOPIC must not begin with $share/: set the group with MQTT_SHARE_GROUP",
            ),
            (is_id(&self.client_id), "MQTT_CLIENT_ID must be at most 128 visible ASCII characters, without blanks"),
            (self.share_group.as_deref().is_none_or(is_group), "MQTT_SHARE_GROUP must be one word without / + and #"),
            (
                self.share_group.is_none() || self.client_id != CLIENT_ID,
                "MQTT_SHARE_GROUP needs MQTT_CLIENT_ID: an id for each gateway that stays the same across its restarts, \
                 such as the name of a StatefulSet's pod; under the default each would end the other's session",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, _)| !holds).map(|(_, sentence)| sentence.to_owned());
        let unreadable = self.tls_files().and_then(|files| files.client_config().err());
        broken.chain(unreadable.map(|error| error.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Set = fn(&mut Config);

    #[test]
    fn the_port_follows_tls_and_the_filter_the_group() {
        let mut config = Config::default();
        assert_eq!((config.port(), config.filter().as_str()), (1_883, "tenant/+/device/+/#"));
        config.ca_file = Some("/ca.pem".into());
        config.share_group = Some("ingest".to_owned());
        assert_eq!((config.port(), config.filter().as_str()), (8_883, "$share/ingest/tenant/+/device/+/#"));
        config.port = Some(1);
        assert_eq!(config.port(), 1);
    }

    #[test]
    fn what_can_not_work_names_its_setting() {
        let names = |set: Set| {
            let mut config = Config::default();
            set(&mut config);
            config.problems()
        };
        assert!(names(|_| ()).is_empty());
        let cases: [(Set, &str); 7] = [
            (|config| config.password = Secret::new("hush"), "MQTT_USERNAME"),
            (|config| config.topic = "tenant/#/device".to_owned(), "MQTT_TOPIC"),
            (|config| config.topic = "$share/g/#".to_owned(), "MQTT_SHARE_GROUP"),
            (|config| config.client_id = "a b".to_owned(), "MQTT_CLIENT_ID"),
            (|config| config.client_id = "x".repeat(129), "MQTT_CLIENT_ID"),
            (|config| config.share_group = Some("a".to_owned()), "MQTT_CLIENT_ID"),
            (|config| config.ca_file = Some("/no/such/file".into()), "MQTT_CA_FILE"),
        ];
        for (set, setting) in cases {
            let named = names(set);
            assert!(named.len() == 1 && named[0].contains(setting), "{setting}: {named:?}");
        }
    }
}

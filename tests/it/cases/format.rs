//! A case as it is written down in `tests/cases`.

use std::collections::BTreeMap;

use base64::Engine;
use ingest_kit::jetstream::Outgoing;
use ingest_kit::seed::{Device, Route, Subscription};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Where the cases are.
pub(super) const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub id: String,
    pub title: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub registry: Vec<Device>,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
    #[serde(default)]
    pub settings: Settings,
    subject: Option<String>,
    data: Option<String>,
    data_base64: Option<String>,
    data_parts: Option<Vec<Chunk>>,
    messages: Option<Vec<ListedMessage>>,
    #[serde(default)]
    at_once: AtOnce,
    pub expect: Expect,
}

/// What differs from the default settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(default)]
    pub app: BTreeMap<String, String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Chunk {
    Text(String),
    Repeat { repeat: String, times: usize },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedMessage {
    subject: String,
    data: String,
    expect: Expect,
}

/// How many of the messages are published together at the beginning.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum AtOnce {
    All(bool),
    First(usize),
}

impl Default for AtOnce {
    fn default() -> Self {
        Self::All(false)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    pub any_of: Vec<Expect>,
    // Of a message.
    pub outcome: Option<String>,
    pub reason: Option<OneOrMany>,
    pub tenant_id: Option<String>,
    pub detail_contains: Option<String>,
    pub stored_event: Option<bool>,
    pub device_id: Option<String>,
    pub site_id: Option<String>,
    pub msg_type: Option<String>,
    pub seq: Option<i64>,
    pub event_ts: Option<String>,
    pub ts_tolerance_ns: u64,
    pub payload_metrics: Option<Box<RawValue>>,
    pub payload_has: Option<BTreeMap<String, Box<RawValue>>>,
    /// `Some(None)`: there must be no point.
    #[serde(deserialize_with = "present")]
    pub point: Option<Option<String>>,
    /// `true` or `"maybe"`.
    pub point_refused: Option<Value>,
    // After all messages.
    pub sensors: Option<BTreeMap<String, Map<String, Value>>>,
    pub sensor_count: Option<u64>,
    pub location: Option<Map<String, Value>>,
    pub route_jobs: Option<Vec<Value>>,
    pub shadow: Option<Map<String, Value>>,
    /// Of an alternative: the shadow's columns, should this alternative be the one that came true.
    pub shadow_after: Option<Map<String, Value>>,
    pub command: Option<Map<String, Value>>,
    pub registered: Vec<Map<String, Value>>,
    pub not_registered: Vec<Map<String, Value>>,
    pub no_point_of: Vec<String>,
    pub counts: BTreeMap<String, (usize, usize)>,
}

impl Expect {
    /// What may come true: the alternatives, or this alone.
    pub(super) fn alternatives(&self) -> impl Iterator<Item = &Self> {
        let alone = self.any_of.is_empty().then_some(self);
        alone.into_iter().chain(&self.any_of)
    }
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn has(&self, reason: &str) -> bool {
        match self {
            Self::One(one) => one == reason,
            Self::Many(many) => many.iter().any(|one| one == reason),
        }
    }
}

/// A message of a case, ready to be published.
pub(super) struct Message<'a> {
    pub outgoing: Outgoing,
    pub expect: &'a Expect,
}

impl Case {
    /// The cases of one kind.
    pub(super) fn load(kind: &str) -> Vec<Self> {
        let path = format!("{DIR}/{kind}.jsonl");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let parse =
            |(number, line)| serde_json::from_str(line).unwrap_or_else(|e| panic!("{path}, line {}: {e}", number + 1));
        text.lines().enumerate().map(parse).collect()
    }

    /// Its messages, in the groups in which they are published.
    pub(super) fn steps(&self) -> Vec<Vec<Message<'_>>> {
        let Some(listed) = &self.messages else {
            let subject = self.subject.clone().expect("a subject");
            return vec![vec![Message { outgoing: Outgoing::new(subject, self.body()), expect: &self.expect }]];
        };
        let mut messages = listed.iter().map(|message| Message {
            outgoing: Outgoing::new(message.subject.clone(), message.data.clone()),
            expect: &message.expect,
        });
        let together = match self.at_once {
            AtOnce::All(true) => listed.len(),
            AtOnce::All(false) => 1,
            AtOnce::First(number) => number,
        };
        let first = messages.by_ref().take(together).collect();
        std::iter::once(first).chain(messages.map(|message| vec![message])).collect()
    }

    fn body(&self) -> Vec<u8> {
        if let Some(data) = &self.data {
            return data.clone().into_bytes();
        }
        if let Some(data) = &self.data_base64 {
            return base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        }
        let parts = self.data_parts.as_ref().expect("data, data_base64 or data_parts");
        let text: String = parts
            .iter()
            .map(|part| match part {
                Chunk::Text(text) => text.clone(),
                Chunk::Repeat { repeat, times } => repeat.repeat(*times),
            })
            .collect();
        text.into_bytes()
    }

    /// Tenant and device of the first message's topic, where it names them.
    pub(super) fn topic(&self) -> Option<Topic> {
        let steps = self.steps();
        let envelope: Value = serde_json::from_slice(&steps.first()?.first()?.outgoing.payload).ok()?;
        let topic = envelope["topic"].as_str()?;
        let mut levels = topic.split('/').skip(1).step_by(2);
        Some(Topic {
            tenant_id: levels.next()?.to_owned(),
            device_id: levels.next()?.to_owned(),
            text: topic.to_owned(),
        })
    }
}

/// What a topic names.
pub(super) struct Topic {
    pub tenant_id: String,
    pub device_id: String,
    pub text: String,
}

//! One outage of the table: how it shows, and the steps that every one of them goes through.

use std::collections::BTreeMap;
use std::time::Duration;

use ingest_kit::{Metrics, Node, NodeBuilder, wait_for};
use serde_json::Value;

use super::recording::Recording;
use crate::runbook::names_the_cause;
use crate::workload::{DEVICES, Workload};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// All that is claimed of an outage shows within ten seconds. Here they are counted in looks at all that a node shows, with a pause
/// of [`BETWEEN`] before each: what slows the node down on a busy machine slows the looks down as well.
const LOOKS: usize = 200;
const BETWEEN: Duration = Duration::from_millis(50);

/// Messages stored before the outage, and published in it.
pub(super) const MESSAGES: usize = 20;

/// The labels of the telemetry lane's figures.
pub(super) const WORKERS: Labels = &[("consumer", "ingest-workers")];

/// Labels of a figure.
pub(super) type Labels = &'static [(&'static str, &'static str)];

/// What a figure does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moves {
    /// It is higher than before the outage.
    Up,
    /// It is this.
    Is(f64),
}

/// What the telemetry lane's lag does, in `/lag`, `/metrics` and `/stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lag {
    /// All messages of the outage wait, and their age grows.
    Grows,
    /// The broker's figures are not known, and no number is shown for them.
    Unknown,
    /// Nothing waits: the messages are stored.
    None,
}

/// A row of the table.
pub(super) struct Outage {
    /// What is out.
    pub name: &'static str,
    /// Texts of `/ready`: of its reasons, with which it is 503, else of its notes.
    pub reasons: &'static [&'static str],
    pub notes: &'static [&'static str],
    /// The components that do not do their work; all others do.
    pub down: &'static [&'static str],
    pub lag: Lag,
    /// Metrics.
    pub metrics: &'static [(&'static str, Labels, Moves)],
    /// JSON pointers into `/stats`.
    pub stats: &'static [(&'static str, Moves)],
    /// A line of the log.
    pub log: &'static str,
    /// Whether messages are published in the outage.
    pub publishes: bool,
}

/// What most outages have in common: nothing.
pub(super) const QUIET: Outage = Outage {
    name: "",
    reasons: &[],
    notes: &[],
    down: &[],
    lag: Lag::Grows,
    metrics: &[],
    stats: &[],
    log: "",
    publishes: true,
};

/// A node between its servers, with its messages.
pub(super) struct Scene {
    pub world: World,
    pub node: Node,
    /// How it was started.
    builder: NodeBuilder,
    load: Workload,
    published: usize,
    /// Where points are written to files, nobody counts them.
    pub has_points: bool,
}

/// All that a node shows at one moment.
struct Shown {
    status: u16,
    ready: Value,
    stats: Value,
    metrics: Metrics,
    lag: Option<Value>,
}

impl Scene {
    /// A node that is ready and has stored some messages; nothing is owed.
    pub(super) async fn new(world: World, node: NodeBuilder) -> Self {
        let mut scene = Self::idle(world, node).await;
        scene.publish().await;
        scene.world.wait_settled(LANES[0], DEADLINE).await;
        wait_for("the first points", DEADLINE, async || {
            let owed = scene.node.metrics().await.get("ingest_influx_unconfirmed_lines", &[]);
            scene.world.influx.total_points() == MESSAGES && owed == Some(0.0)
        })
        .await;
        scene
    }

    /// A node that is ready, knows its lag, and has seen no message.
    pub(super) async fn idle(world: World, node: NodeBuilder) -> Self {
        let load = Workload::good(2 * DEVICES);
        load.seed(&world).await;
        let builder = node.clone();
        let node = start(node).await;
        wait_for("the lag", DEADLINE, async || node.get("/lag").await.is_some_and(|answer| answer.status == 200)).await;
        Self { node, builder, world, load, published: 0, has_points: true }
    }

    /// Publishes the next messages, each time of the same devices.
    pub(super) async fn publish(&mut self) {
        let first = DEVICES * self.published / MESSAGES;
        let next = self.load.messages[first..first + MESSAGES].to_vec();
        self.published += MESSAGES;
        self.world.publish(next).await;
    }

    async fn show(&self) -> Option<Shown> {
        let ready = self.node.get("/ready").await?;
        let lag = self.node.get("/lag").await?;
        assert_eq!(self.node.get("/health").await.map(|answer| answer.status), Some(200), "/health");
        Some(Shown {
            status: ready.status,
            ready: serde_json::from_str(&ready.body).expect("JSON"),
            stats: self.node.stats().await,
            metrics: self.node.metrics().await,
            lag: (lag.status == 200).then(|| serde_json::from_str(&lag.body).expect("JSON")),
        })
    }

    /// Goes through an outage: `make` brings it about, `end` ends it, and then everything is as before.
    pub(super) async fn goes_through(
        mut self,
        outage: &Outage,
        make: impl AsyncFnOnce(&mut Scene),
        end: impl AsyncFnOnce(&mut Scene),
    ) {
        let before = self.show().await.expect("a node that answers");
        let mut recording = Recording::new(outage.name);
        recording.sample(&self.node).await;
        make(&mut self).await;
        if outage.publishes {
            self.publish().await;
        }
        self.waits_until_it_shows(outage, &before).await;
        if !outage.log.is_empty() {
            self.node.wait_logged(outage.log, 1).await;
        }
        names_the_cause(outage.name, &self.node, &self.builder).await;
        recording.sample(&self.node).await;
        recording.sample_later(&self.node).await;
        end(&mut self).await;
        self.is_well(outage.name, &before).await;
        drain(self.node).await;
    }

    async fn waits_until_it_shows(&self, outage: &Outage, before: &Shown) {
        let mut wrong = Vec::new();
        for _ in 0..LOOKS {
            tokio::time::sleep(BETWEEN).await;
            wrong = match self.show().await {
                Some(shown) => outage.differences(before, &shown),
                None => vec!["the node does not answer".to_owned()],
            };
            if wrong.is_empty() {
                return;
            }
        }
        panic!("{}, after {LOOKS} looks:\n{}", outage.name, wrong.join("\n"));
    }

    /// Everything is as before, and every message is stored once.
    async fn is_well(&self, name: &str, before: &Shown) {
        let what = format!("the node to be well after: {name}");
        wait_for(&what, 2 * DEADLINE, async || {
            let Some(shown) = self.show().await else { return false };
            shown.status == 200 && shown.texts("reasons").is_empty() && shown.down().is_empty()
        })
        .await;
        self.world.wait_settled(LANES[0], DEADLINE).await;
        assert_eq!(self.world.database.count("raw_events").await, self.published as u64, "rows, once each");
        let rejected = "quarantine_events WHERE reason <> 'DEVICE_REVOKED'";
        assert_eq!(self.world.database.count(rejected).await, 0, "rejections");
        if self.has_points {
            wait_for("every point", 3 * DEADLINE, async || self.world.influx.total_points() == self.published).await;
        }
        wait_for("no other note than before", DEADLINE, async || {
            self.show().await.is_some_and(|shown| shown.texts("notes") == before.texts("notes"))
        })
        .await;
    }
}

impl Shown {
    fn texts(&self, list: &str) -> Vec<String> {
        let texts = self.ready[list].as_array().expect("a list");
        texts.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
    }

    /// The components that do not do their work.
    fn down(&self) -> Vec<String> {
        let up: BTreeMap<String, u64> = self.metrics.by_label_of("ingest_component_up", &[], "component");
        up.into_iter().filter(|(_, is_up)| *is_up == 0).map(|(component, _)| component).collect()
    }
}

impl Outage {
    /// What is shown otherwise than the row has it.
    fn differences(&self, before: &Shown, shown: &Shown) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: String| {
            if !holds {
                wrong.push(what);
            }
        };
        let is_ready = self.reasons.is_empty();
        expect(shown.status == if is_ready { 200 } else { 503 }, format!("/ready is {}", shown.status));
        for (list, texts) in [("reasons", self.reasons), ("notes", self.notes)] {
            let (known, shown_texts) = (before.texts(list), shown.texts(list));
            for text in texts {
                let is_there = shown_texts.iter().any(|one| one.contains(text));
                expect(is_there, format!("no {text:?} in {list} {shown_texts:?}"));
            }
            for text in shown_texts.iter().filter(|text| !known.contains(text)) {
                let is_expected = texts.iter().any(|expected| text.contains(expected));
                expect(is_expected, format!("not expected in {list}: {text:?}"));
            }
            expect(shown.ready[list] == shown.stats[list], format!("/stats has {list} {}", shown.stats[list]));
        }
        let ready = shown.metrics.get("ingest_ready", &[]);
        expect(ready == Some(f64::from(u8::from(is_ready))), format!("ingest_ready is {ready:?}"));
        expect(shown.stats["ready"] == is_ready, format!("/stats has ready {}", shown.stats["ready"]));
        let mut down: Vec<&str> = self.down.to_vec();
        down.sort_unstable();
        expect(shown.down() == down, format!("down are {:?}, not {down:?}", shown.down()));
        for (name, labels, moves) in self.metrics {
            let (was, is) = (before.metrics.get(name, labels), shown.metrics.get(name, labels));
            expect(moves.holds(was, is), format!("{name}{labels:?} was {was:?} and is {is:?}: not {moves:?}"));
        }
        for (pointer, moves) in self.stats {
            let figure = |shown: &Shown| shown.stats.pointer(pointer).and_then(Value::as_f64);
            let (was, is) = (figure(before), figure(shown));
            expect(moves.holds(was, is), format!("{pointer} of /stats was {was:?} and is {is:?}: not {moves:?}"));
        }
        let scalable = shown.lag.as_ref().map(|lag| &lag["consumers"][LANES[0].1]["scalable"]);
        let is_useless = self.down.contains(&"postgres");
        expect(
            !is_useless || scalable.is_some_and(|scalable| scalable == 0),
            format!("/lag has scalable {scalable:?}"),
        );
        wrong.extend(self.lag.differences(shown, if self.publishes { MESSAGES as f64 } else { 0.0 }));
        wrong
    }
}

impl Moves {
    fn holds(self, was: Option<f64>, is: Option<f64>) -> bool {
        match self {
            Moves::Up => is.unwrap_or(0.0) > was.unwrap_or(0.0),
            Moves::Is(figure) => is == Some(figure),
        }
    }
}

impl Lag {
    /// Whether the lag is shown as it is, in all three places.
    fn differences(self, shown: &Shown, published: f64) -> Vec<String> {
        let lane = LANES[0].1;
        let metric = |name: &str| shown.metrics.get(name, WORKERS);
        let stat = |name: &str| shown.stats["consumers"][lane][name].as_f64();
        let names = ["pending", "ack_pending", "lag_seconds"];
        let metrics = names.map(|name| metric(&format!("ingest_consumer_{name}")));
        let (stats, oldest) = (names.map(stat), metric("ingest_oldest_unsettled_seconds"));
        let answer = shown.lag.as_ref().map(|lag| &lag["consumers"][lane]);
        let holds = match self {
            Lag::Unknown => metrics.iter().chain(&stats).all(Option::is_none) && oldest.is_none() && answer.is_none(),
            Lag::Grows | Lag::None => {
                let (waiting, is_old): (f64, fn(f64) -> bool) = match self {
                    Lag::Grows => (published, |seconds| seconds > 1.0),
                    _ => (0.0, |seconds| seconds == 0.0),
                };
                let is_so = |[pending, ack_pending, seconds]: [Option<f64>; 3]| {
                    let waits = pending.zip(ack_pending).is_some_and(|(pending, ack)| pending + ack == waiting);
                    waits && seconds.is_some_and(is_old)
                };
                let messages = answer.map(|answer| (answer["messages"].as_f64(), answer["seconds"].as_f64()));
                is_so(metrics)
                    && is_so(stats)
                    && oldest.is_some_and(is_old)
                    && messages.is_some_and(|(messages, age)| messages == Some(waiting) && age.is_some_and(is_old))
            }
        };
        let is_wrong = !holds;
        is_wrong.then(|| format!("lag not {self:?}: {metrics:?} {stats:?} {oldest:?} {answer:?}")).into_iter().collect()
    }
}

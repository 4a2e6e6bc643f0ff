//! Actors by their roles: messages and time, restarts and exits. All actors of a role (validators, batchers, the consumers
//! of the lanes) count together, over all generations of the tree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Serialize;

use super::traffic::{Counts, Traffic};

/// What the supervisor and the actors of a role have counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActorFigures {
    /// `running` while one of the role's actors runs, else `stopped`.
    pub state: &'static str,
    /// How many of them run.
    pub running: i64,
    /// Messages that they have not handled yet.
    pub queue: u64,
    /// Messages that came to them.
    #[serde(rename = "in")]
    pub received: u64,
    /// Messages that they have handled.
    #[serde(rename = "out")]
    pub handled: u64,
    /// Time that they have worked.
    pub busy_seconds: f64,
    /// Restarts that the role has caused.
    pub restarts: u64,
    /// How the last of them ended that was not asked to: `panicked`, `stopped` or `stalled`.
    pub last_exit: Option<&'static str>,
}

/// How an actor ended without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastExit {
    /// `panicked`, `stopped` or `stalled`.
    pub cause: &'static str,
    /// When.
    pub at: SystemTime,
}

impl LastExit {
    /// An exit that has just been noticed.
    pub(crate) fn now(cause: &'static str) -> Self {
        Self { cause, at: SystemTime::now() }
    }
}

/// All roles.
#[derive(Debug, Default)]
pub struct Actors(Mutex<BTreeMap<&'static str, Role>>);

#[derive(Debug, Default)]
struct Role {
    traffic: Arc<Traffic>,
    /// What earlier generations have counted.
    before: Counts,
    restarts: u64,
    last_exit: Option<&'static str>,
}

impl Actors {
    /// A role's traffic. From now on the role is shown.
    pub fn traffic(&self, role: &'static str) -> Arc<Traffic> {
        self.0.lock().entry(role).or_default().traffic.clone()
    }

    /// A generation ends and another begins. A blocked thread is left behind with its actors: what waits for them waits for
    /// nobody any more.
    pub fn next_generation(&self) {
        for role in self.0.lock().values_mut() {
            role.before = role.totals();
            role.traffic = Arc::default();
        }
    }

    /// Counts a restart that the role has caused.
    pub fn restarted(&self, role: &'static str) {
        self.0.lock().entry(role).or_default().restarts += 1;
    }

    /// An actor of the role has ended, or stands still.
    pub fn exited(&self, role: &'static str, cause: &'static str) {
        self.0.lock().entry(role).or_default().last_exit = Some(cause);
    }

    /// The figures of each role.
    pub fn figures(&self) -> BTreeMap<&'static str, ActorFigures> {
        self.0.lock().iter().map(|(name, role)| (*name, role.figures())).collect()
    }
}

impl Role {
    /// Over all generations.
    fn totals(&self) -> Counts {
        self.before.and(self.traffic.counts())
    }

    fn figures(&self) -> ActorFigures {
        let (current, totals) = (self.traffic.counts(), self.totals());
        ActorFigures {
            state: if current.running > 0 { "running" } else { "stopped" },
            running: current.running,
            queue: current.queue(),
            received: totals.received,
            handled: totals.handled,
            busy_seconds: totals.busy_us as f64 / 1e6,
            restarts: self.restarts,
            last_exit: self.last_exit,
        }
    }
}

impl Collector for Actors {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let figures = self.figures();
        counter(&mut encoder, "actor_restarts", "Restarts by the supervisor.", &figures, |of| of.restarts)?;
        let help = "Messages that the role's actors have not handled yet.";
        gauge(&mut encoder, "actor_queue", help, &figures, |of| of.queue)?;
        let help = "Time that the role's actors have worked, between their waits; more than 1 s in a second where they are \
            several.";
        counter(&mut encoder, "actor_busy_seconds", help, &figures, |of| of.busy_seconds)
    }
}

type Figures = BTreeMap<&'static str, ActorFigures>;

fn counter<N: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    figures: &Figures,
    value: fn(&ActorFigures) -> N,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (actor, figures) in figures {
        ConstCounter::new(value(figures)).encode(family.encode_family(&[("actor", *actor)])?)?;
    }
    Ok(())
}

fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    figures: &Figures,
    value: fn(&ActorFigures) -> N,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (actor, figures) in figures {
        ConstGauge::new(value(figures)).encode(family.encode_family(&[("actor", *actor)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_an_actor_leaves_in_its_queue_waits_no_longer_when_it_has_ended() {
        let actors = Actors::default();
        let traffic = actors.traffic("validator");
        traffic.started();
        traffic.received(3);
        traffic.handled();
        traffic.worked(Duration::from_millis(1_500));
        let figures = &actors.figures()["validator"];
        assert_eq!((figures.state, figures.queue, figures.received, figures.handled), ("running", 2, 3, 1));
        traffic.ended(2);
        actors.exited("validator", "panicked");
        actors.restarted("validator");
        let figures = serde_json::to_value(&actors.figures()["validator"]).unwrap();
        let expected = serde_json::json!({"state": "stopped", "running": 0, "queue": 0, "in": 3, "out": 1,
            "busy_seconds": 1.5, "restarts": 1, "last_exit": "panicked"});
        assert_eq!(figures, expected);
    }

    #[test]
    fn a_generation_that_was_left_behind_keeps_its_totals_and_no_queue() {
        let actors = Actors::default();
        let (blocked, _) = (actors.traffic("validator"), actors.restarted("validator"));
        blocked.started();
        blocked.received(5);
        blocked.handled();
        actors.next_generation();
        let next = actors.traffic("validator");
        next.received(2);
        blocked.handled();
        let figures = actors.figures()["validator"].clone();
        assert_eq!((figures.state, figures.queue, figures.received, figures.handled), ("stopped", 2, 7, 1));
        assert_eq!(figures.restarts, 1);
    }
}

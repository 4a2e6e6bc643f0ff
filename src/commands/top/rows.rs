//! What is shown of the nodes, as text: a panel for each, with the same rows in the same order.

use super::poll::Replica;
use crate::observe::{ActorState, LaneState, Snapshot};
use ingest_core::message::visible::{detail, name};

/// By what the actors are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// As messages pass them.
    #[default]
    Order,
    /// Those with most waiting messages first.
    Queue,
    /// Those that were restarted most first.
    Restarts,
}

impl Sort {
    /// The next one, by the key `s`.
    pub(super) fn next(self) -> Self {
        match self {
            Sort::Order => Sort::Queue,
            Sort::Queue => Sort::Restarts,
            Sort::Restarts => Sort::Order,
        }
    }

    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Sort::Order => "order",
            Sort::Queue => "queue",
            Sort::Restarts => "restarts",
        }
    }
}

/// Headings of the actors' columns.
pub(super) const ACTOR_COLUMNS: [&str; 6] = ["ACTOR", "STATE", "QUEUE", "IN/s", "OUT/s", "RST"];
/// Headings of the lanes' columns.
pub(super) const LANE_COLUMNS: [&str; 6] = ["LANE", "IN/s", "HELD", "PENDING", "UNACKED", "LAG s"];

/// What is shown of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Panel {
    /// Which node.
    pub title: String,
    /// How it is.
    pub status: String,
    /// Whether it needs to be looked at.
    pub is_well: bool,
    /// Its actors, a cell for each column, and whether the row stands out.
    pub actors: Vec<([String; 6], bool)>,
    /// Its lanes.
    pub lanes: Vec<[String; 6]>,
    /// What else it says, a line each.
    pub notes: Vec<String>,
}

/// The panels of all nodes: each has the actors of all of them, in one order.
pub(super) fn panels(replicas: &[Replica], sort: Sort) -> Vec<Panel> {
    let names = names(replicas, sort);
    replicas.iter().map(|replica| panel(replica, &names)).collect()
}

/// Every actor's name, in the order in which they are shown.
fn names(replicas: &[Replica], sort: Sort) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for actor in replicas.iter().filter_map(|replica| replica.answer.as_ref().ok()).flat_map(|shown| &shown.actors) {
        if !names.contains(&actor.name.as_str()) {
            names.push(&actor.name);
        }
    }
    let most = |name: &str, figure: fn(&ActorState) -> u64| {
        let of_node = |shown: &Snapshot| shown.actors.iter().find(|actor| actor.name == name).map_or(0, figure);
        replicas.iter().filter_map(|replica| replica.answer.as_ref().ok()).map(of_node).max().unwrap_or_default()
    };
    // The sort is stable: equal ones stay in their order.
    match sort {
        Sort::Order => {}
        Sort::Queue => names.sort_by_key(|name| std::cmp::Reverse(most(name, |actor| actor.queue))),
        Sort::Restarts => names.sort_by_key(|name| std::cmp::Reverse(most(name, |actor| actor.restarts))),
    }
    names
}

fn panel(replica: &Replica, names: &[&str]) -> Panel {
    let shown = match &replica.answer {
        Ok(shown) => shown,
        Err(unreachable) => {
            return Panel {
                title: name(&replica.url),
                status: "unreachable".to_owned(),
                is_well: false,
                actors: Vec::new(),
                lanes: Vec::new(),
                notes: vec![detail(&unreachable.why)],
            };
        }
    };
    let host = shown.node.host.as_deref().map_or_else(String::new, |host| format!(" {}", name(host)));
    let row = |wanted: &&str| match shown.actors.iter().find(|actor| actor.name == **wanted) {
        Some(actor) => row(actor),
        None => ([name(wanted), "-".into(), "-".into(), "-".into(), "-".into(), "-".into()], false),
    };
    Panel {
        title: format!("{}{host}", name(&replica.url)),
        status: status(shown),
        is_well: matches!(shown.node.state.as_str(), "" | "ready"),
        actors: names.iter().map(row).collect(),
        lanes: shown.lanes.iter().map(lane).collect(),
        notes: notes(shown),
    }
}

fn status(shown: &Snapshot) -> String {
    let state = if shown.node.state.is_empty() { "reachable" } else { &shown.node.state };
    let (generation, uptime) = (shown.node.generation, shown.node.uptime_seconds.max(0.0).round());
    format!("{}, generation {generation}, up {uptime} s", name(state))
}

/// A row stands out where its actor does not work, or was restarted.
fn row(actor: &ActorState) -> ([String; 6], bool) {
    let stands_out = !matches!(actor.state.as_str(), "running" | "busy" | "waiting" | "working") || actor.restarts > 0;
    let cells = [
        name(&actor.name),
        name(&actor.state),
        actor.queue.to_string(),
        rate(actor.in_per_second),
        rate(actor.out_per_second),
        actor.restarts.to_string(),
    ];
    (cells, stands_out)
}

fn lane(lane: &LaneState) -> [String; 6] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    [
        name(&lane.consumer),
        rate(lane.received_per_second),
        lane.in_flight.to_string(),
        number(lane.pending),
        number(lane.ack_pending),
        lane.lag_seconds.map_or_else(|| "-".to_owned(), |secs| format!("{secs:.1}")),
    ]
}

/// What is not known is `-`, never 0.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

fn notes(shown: &Snapshot) -> Vec<String> {
    let exits = shown.actors.iter().filter_map(|actor| {
        let exit = actor.last_exit.as_deref()?;
        Some(format!("{}: last exit {}", name(&actor.name), name(exit)))
    });
    let down = shown.conditions.iter().filter(|condition| !condition.up).map(|condition| {
        let reason = condition.reason.as_deref().map_or_else(|| "down".to_owned(), detail);
        format!("{}: {reason}", name(&condition.name))
    });
    let owed = shown.outbox.iter().filter(|outbox| outbox.lines > 0).map(|outbox| {
        let oldest = outbox.oldest_seconds.map_or_else(String::new, |secs| format!(", the oldest {secs} s old"));
        format!("owed to InfluxDB: {} points{oldest}", outbox.lines)
    });
    let tenants = &shown.missing_readings.tenants;
    let missing: u64 = tenants.iter().map(|tenant| tenant.missing).sum();
    let silent = tenants.iter().filter_map(|tenant| tenant.silent).reduce(|all, of| all + of);
    let readings = (missing > 0 || silent > Some(0)).then(|| {
        let silent = silent.map_or_else(|| "-".to_owned(), |silent| silent.to_string());
        format!("readings missing: {missing}; devices silent: {silent}")
    });
    let left_out = (shown.actors_left_out > 0).then(|| format!("{} actors are not shown", shown.actors_left_out));
    let others = shown.node.reasons.iter().chain(&shown.notes).map(|note| detail(note));
    let mut notes: Vec<String> = down.chain(exits).chain(owed).chain(readings).chain(left_out).collect();
    for note in others {
        if !notes.iter().any(|known| known.contains(&note)) {
            notes.push(note);
        }
    }
    notes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::top::poll::Unreachable;

    /// A node that is well, and one that can't be reached.
    pub(in crate::commands::top) fn replicas() -> Vec<Replica> {
        let shown = serde_json::json!({
            "node": {"host": "pod-a", "state": "not_ready", "generation": 2, "uptime_seconds": 61.4, "reasons": ["postgres: away"]},
            "actors": [
                {"name": "consumer-ingest-workers", "state": "running", "queue": 0, "in": 10, "out": 10,
                 "in_per_second": 3.25, "out_per_second": 1200.4, "restarts": 0, "last_exit": null},
                {"name": "writer", "state": "stalled\u{1b}[2J", "queue": 7, "in": 10, "out": 3, "restarts": 1, "last_exit": "panicked"}
            ],
            "lanes": [{"consumer": "ingest-workers", "in_flight": 4, "pending": null, "ack_pending": 4, "lag_seconds": 2.04}],
            "outbox": {"lines": 12, "oldest_seconds": 90},
            "conditions": [{"name": "postgres", "up": false, "reason": "away", "required": true}],
            "missing_readings": {"tenants": [{"tenant": "acme", "missing": 7, "silent": null}, {"tenant": "b", "missing": 1}]},
            "unknown_member": {}
        });
        let one =
            Replica { url: "http://a:8081".to_owned(), answer: serde_json::from_value(shown).map_err(|_| panic!()) };
        let why = Unreachable { why: "connection refused".to_owned(), is_mistake: false };
        vec![one, Replica { url: "http://b:8081".to_owned(), answer: Err(why) }]
    }

    #[test]
    fn a_panel_says_how_its_node_is() {
        let panels = panels(&replicas(), Sort::Order);
        let Panel { title, status, is_well, actors, lanes, notes } = &panels[0];
        assert_eq!((title.as_str(), status.as_str()), ("http://a:8081 pod-a", "not_ready, generation 2, up 61 s"));
        assert!(!is_well);
        assert_eq!(
            actors[0],
            (["consumer-ingest-workers", "running", "0", "3.2", "1200", "0"].map(str::to_owned), false)
        );
        assert_eq!(actors[1], (["writer", "stalled\\u{1b}[2J", "7", "-", "-", "1"].map(str::to_owned), true));
        assert_eq!(lanes[0], ["ingest-workers", "-", "4", "-", "4", "2.0"].map(str::to_owned));
        assert_eq!(
            notes,
            &[
                "postgres: away",
                "writer: last exit panicked",
                "owed to InfluxDB: 12 points, the oldest 90 s old",
                "readings missing: 8; devices silent: -"
            ]
        );
        assert_eq!(
            (panels[1].status.as_str(), &*panels[1].notes),
            ("unreachable", &["connection refused".to_owned()][..])
        );
    }

    #[test]
    fn sorting_is_the_same_in_every_panel_and_an_actor_that_a_node_lacks_has_a_row() {
        let mut replicas = replicas();
        let mut other = replicas[0].clone();
        other.answer.as_mut().unwrap().actors.remove(1);
        other.answer.as_mut().unwrap().actors[0].queue = 3;
        replicas[1] = other;
        let names = |sort| {
            let panels = panels(&replicas, sort);
            let names = |panel: &Panel| panel.actors.iter().map(|(row, _)| row[0].clone()).collect::<Vec<_>>();
            assert_eq!(names(&panels[0]), names(&panels[1]));
            names(&panels[0])
        };
        assert_eq!(names(Sort::Order), ["consumer-ingest-workers", "writer"]);
        assert_eq!(names(Sort::Queue), ["writer", "consumer-ingest-workers"]);
        assert_eq!(names(Sort::Restarts), ["writer", "consumer-ingest-workers"]);
        assert_eq!(panels(&replicas, Sort::Order)[1].actors[1].0[1], "-");
        assert_eq!(Sort::Order.next().next().next(), Sort::Order);
    }

    #[test]
    fn what_only_has_the_fixed_members_is_shown_too() {
        let least = r#"{"actors":[{"name":"writer","state":"running","queue":1,"in":2,"out":1,"restarts":0,"last_exit":null}]}"#;
        let replica = Replica { url: "http://a".to_owned(), answer: Ok(serde_json::from_str(least).unwrap()) };
        let panel = &panels(&[replica], Sort::Order)[0];
        assert_eq!((panel.is_well, panel.actors.len(), panel.notes.len()), (true, 1, 0));
    }
}

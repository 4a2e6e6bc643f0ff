//! The actors of a snapshot: those of the tree's list, and the batchers that are shown.

use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::progress::{Progress, Reading, Standing};
use super::rates::{Rates, rounded};
use super::snapshot::ActorState;
use crate::metrics::{BatcherReading, Counts, LastExit};
use crate::runtime::instances::InstanceReading;
use ingest_core::message::names::metric_label;

/// The role of the batchers, which their router has and not the tree's list.
const BATCHER: &str = "batcher";

/// Who works so much of a second has work, also where nothing waits for it at the moment of the snapshot.
const BUSY_SHARE: f64 = 0.02;

/// An actor of the tree's list.
pub(super) fn of_tree(
    actor: &InstanceReading,
    rates: &mut Rates,
    progress: &mut Progress,
    is_draining: bool,
) -> ActorState {
    let reading = Reading {
        life: actor.generation.unwrap_or_default(),
        has_work: actor.has_to_progress,
        progress: actor.progress,
        threads: &actor.threads,
    };
    let standing = progress.of(&actor.name, reading);
    let counted = counted(&actor.name, &actor.counts, &actor.totals, actor.last_exit, rates);
    let has_work = actor.has_work || counted.queue > 0 || counted.busy >= Some(BUSY_SHARE);
    ActorState {
        role: actor.role.to_owned(),
        state: state(&actor.counts, has_work, standing, is_draining).to_owned(),
        thread: actor.thread.as_deref().map(str::to_owned),
        generation: actor.generation,
        seconds_without_progress: without_progress(&actor.counts, standing),
        restarts: actor.restarts,
        ..counted
    }
}

/// A tenant's batcher.
pub(super) fn of_batcher(
    batcher: &BatcherReading,
    generation: Option<u64>,
    rates: &mut Rates,
    progress: &mut Progress,
    is_draining: bool,
) -> ActorState {
    let name: Arc<str> = format!("{BATCHER}-{}", metric_label(&batcher.tenant_id)).into();
    let has_work = batcher.held_lines > 0;
    let reading = Reading {
        life: batcher.restarts,
        // While it waits on purpose it is expected to make none.
        has_work: has_work && !batcher.is_waiting,
        progress: batcher.lines_ended.wrapping_add(batcher.requests).wrapping_add(batcher.requests_failed),
        threads: std::slice::from_ref(&batcher.thread_progress),
    };
    let standing = progress.of(&name, reading);
    ActorState {
        role: BATCHER.to_owned(),
        tenant: Some(batcher.tenant_id.to_string()),
        state: state(&batcher.counts, has_work, standing, is_draining).to_owned(),
        thread: batcher.thread.as_deref().map(str::to_owned),
        generation,
        seconds_without_progress: without_progress(&batcher.counts, standing),
        restarts: batcher.restarts,
        ..counted(&name, &batcher.counts, &batcher.counts, batcher.last_exit, rates)
    }
}

/// What is counted of an actor.
fn counted(name: &str, counts: &Counts, totals: &Counts, last_exit: Option<LastExit>, rates: &mut Rates) -> ActorState {
    let busy_us = rates.of(format!("busy {name}"), totals.busy_us);
    ActorState {
        name: name.to_owned(),
        queue: counts.queue(),
        received: totals.received,
        handled: totals.handled,
        in_per_second: rates.of(format!("in {name}"), totals.received),
        out_per_second: rates.of(format!("out {name}"), totals.handled),
        // What began before the last second is counted when it ends.
        busy: busy_us.map(|us| (us / 1e6).min(1.0)).map(|share| (share * 1e4).round() / 1e4),
        last_exit: last_exit.map(|exit| exit.cause.to_owned()),
        last_exit_at: last_exit.and_then(|exit| rfc3339(exit.at)),
        ..ActorState::default()
    }
}

/// In words (docs/observe.md).
fn state(counts: &Counts, has_work: bool, standing: Standing, is_draining: bool) -> &'static str {
    match counts.running > 0 {
        false if counts.begun == 0 => "starting",
        false => "stopped",
        true if standing.is_stalled => "stalled",
        true if is_draining => "draining",
        true if has_work => "busy",
        true => "running",
    }
}

fn without_progress(counts: &Counts, standing: Standing) -> Option<f64> {
    standing.without_progress.filter(|_| counts.running > 0).map(|time| rounded(time.as_secs_f64()))
}

/// A time as the snapshot shows it, to the millisecond.
pub(super) fn rfc3339(time: SystemTime) -> Option<String> {
    let time = OffsetDateTime::from(time);
    time.replace_millisecond(time.millisecond()).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reading(counts: Counts) -> InstanceReading {
        InstanceReading {
            name: "writer".into(),
            role: "writer",
            generation: Some(3),
            thread: Some("store".into()),
            counts,
            totals: Counts { received: 100 + counts.received, ..counts },
            has_work: false,
            has_to_progress: true,
            progress: 0,
            threads: vec![0],
            restarts: 2,
            last_exit: Some(LastExit { cause: "panicked", at: SystemTime::UNIX_EPOCH }),
        }
    }

    #[test]
    fn an_actors_state_is_a_word_for_how_it_stands() {
        let running = Counts { begun: 1, running: 1, ..Counts::default() };
        let ended = Counts { begun: 1, ..Counts::default() };
        let [moving, standing] =
            [false, true].map(|is_stalled| Standing { without_progress: Some(Duration::ZERO), is_stalled });
        for (counts, has_work, standing, is_draining, expected) in [
            (Counts::default(), false, moving, false, "starting"),
            (running, false, moving, false, "running"),
            (running, true, moving, false, "busy"),
            (running, true, moving, true, "draining"),
            (running, true, standing, true, "stalled"),
            (ended, true, standing, true, "stopped"),
        ] {
            assert_eq!(state(&counts, has_work, standing, is_draining), expected);
        }
    }

    #[test]
    fn rates_are_of_all_generations_and_the_queue_of_this_one() {
        let (mut rates, mut progress) = (Rates::default(), Progress::default());
        let mut take = |counts, elapsed| {
            rates.begin(elapsed);
            progress.begin(Duration::from_secs(1));
            of_tree(&reading(counts), &mut rates, &mut progress, false)
        };
        let counts = Counts { begun: 1, running: 1, received: 5, handled: 2, ..Counts::default() };
        let first = take(counts, None);
        assert_eq!((first.queue, first.received, first.in_per_second, first.busy), (3, 105, None, None));
        let later = Counts { received: 15, busy_us: 250_000, ..counts };
        let second = take(later, Some(Duration::from_secs(1)));
        assert_eq!((second.in_per_second, second.out_per_second, second.busy), (Some(10.0), Some(0.0), Some(0.25)));
        assert_eq!(second.state, "busy");
        let idle = take(Counts { handled: 15, ..later }, Some(Duration::from_secs(1)));
        assert_eq!((idle.state.as_str(), idle.busy, idle.queue), ("running", Some(0.0), 0));
        assert_eq!((second.last_exit.as_deref(), second.restarts), (Some("panicked"), 2));
        assert_eq!(second.last_exit_at.as_deref(), Some("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn a_batcher_that_waits_for_its_server_is_busy_and_not_stalled() {
        let (mut rates, mut progress) = (Rates::default(), Progress::default());
        let mut take = |seconds: u64, is_waiting| {
            let counts = Counts { begun: 1, running: 1, ..Counts::default() };
            let mut last = None;
            for second in 0..seconds {
                rates.begin(None);
                progress.begin(Duration::from_secs(1));
                let batcher = BatcherReading {
                    tenant_id: "a\nb".into(),
                    held_lines: 5,
                    is_waiting,
                    counts,
                    thread_progress: second,
                    ..BatcherReading::default()
                };
                last = Some(of_batcher(&batcher, Some(1), &mut rates, &mut progress, false));
            }
            last.unwrap()
        };
        let waits = take(60, true);
        assert_eq!((waits.state.as_str(), waits.name.as_str()), ("busy", "batcher-a%0Ab"));
        assert_eq!(take(60, false).state, "stalled");
    }
}

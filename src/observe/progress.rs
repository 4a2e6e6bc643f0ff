//! Progress: how long an actor, or a thread of it, has stood still.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two readings no more time counts: in a longer gap the whole process was paused, and nobody could make progress.
const MOST_BETWEEN_READINGS: Duration = Duration::from_secs(2);
/// Threads report twice a second: a pause as short as this is none.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
/// From here on an actor that has work is stalled, or one whose thread does not run.
const STALLED_WITHOUT_PROGRESS: Duration = Duration::from_secs(10);
const STALLED_THREAD: Duration = Duration::from_secs(5);

/// The progress of every actor, from reading to reading.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Time during which readings were taken.
    observed: Duration,
    before: HashMap<Arc<str>, Marks>,
    current: HashMap<Arc<str>, Marks>,
}

/// An actor's life, and where it stood since when.
#[derive(Debug)]
struct Marks {
    life: u64,
    own: Mark,
    threads: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    progress: u64,
    since: Duration,
}

/// What is read of an actor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// Changes when it is another actor of the same name.
    pub life: u64,
    /// Whether it has work.
    pub has_work: bool,
    /// Changes with its progress.
    pub progress: u64,
    /// The same of its threads.
    pub threads: &'a [u64],
}

/// How an actor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// How long it has had work and made no progress, or its thread has not run; `None` where neither is so.
    pub without_progress: Option<Duration>,
    /// Whether that is too long.
    pub is_stalled: bool,
}

impl Progress {
    /// Begins a reading, so long after the one before.
    pub(super) fn begin(&mut self, elapsed: Duration) {
        self.observed += elapsed.min(MOST_BETWEEN_READINGS);
        self.before = std::mem::take(&mut self.current);
    }

    /// How an actor stands, by what is read of it now.
    pub(super) fn of(&mut self, name: &Arc<str>, reading: Reading<'_>) -> Standing {
        let now = self.observed;
        let fresh = |progress: u64| Mark { progress, since: now };
        let mut marks = match self.before.remove(name) {
            Some(marks) if marks.life == reading.life => marks,
            _ => Marks { life: reading.life, own: fresh(reading.progress), threads: Vec::new() },
        };
        if !reading.has_work || marks.own.progress != reading.progress {
            marks.own = fresh(reading.progress);
        }
        marks.threads.resize(reading.threads.len(), fresh(0));
        for (mark, progress) in marks.threads.iter_mut().zip(reading.threads) {
            if mark.progress != *progress {
                *mark = fresh(*progress);
            }
        }
        let own = now - marks.own.since;
        let thread = marks.threads.iter().map(|mark| now - mark.since).max().unwrap_or_default();
        self.current.insert(name.clone(), marks);
        let pause = Some(thread).filter(|thread| *thread >= SHORTEST_PAUSE);
        Standing {
            without_progress: reading.has_work.then_some(own).max(pause),
            is_stalled: own >= STALLED_WITHOUT_PROGRESS || thread >= STALLED_THREAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const IDLE: Reading<'_> = Reading { life: 1, has_work: false, progress: 7, threads: &[] };
    const BUSY: Reading<'_> = Reading { has_work: true, ..IDLE };

    /// How it stands after so many readings, a second apart.
    fn after(progress: &mut Progress, seconds: u32, reading: impl Fn(u64) -> (u64, Vec<u64>)) -> Standing {
        let mut last = None;
        for second in 0..seconds {
            progress.begin(SECOND);
            let (life, threads) = reading(u64::from(second));
            last = Some(progress.of(&"writer".into(), Reading { life, threads: &threads, ..BUSY }));
        }
        last.unwrap()
    }

    #[test]
    fn work_without_progress_is_a_stall_after_a_while_and_idleness_never() {
        let (mut progress, name) = (Progress::default(), "writer".into());
        for _ in 0..60 {
            progress.begin(SECOND);
            let idle = progress.of(&name, IDLE);
            assert_eq!((idle.without_progress, idle.is_stalled), (None, false));
        }
        let standing = after(&mut progress, 9, |_| (1, vec![]));
        assert_eq!((standing.without_progress, standing.is_stalled), (Some(9 * SECOND), false));
        assert!(after(&mut progress, 1, |_| (1, vec![])).is_stalled);
        progress.begin(SECOND);
        let moved = progress.of(&name, Reading { progress: 8, ..BUSY });
        assert_eq!((moved.without_progress, moved.is_stalled), (Some(Duration::ZERO), false));
        assert!(!after(&mut progress, 9, |_| (2, vec![])).is_stalled, "another actor of the same name");
    }

    #[test]
    fn an_actor_stalls_with_a_thread_that_does_not_run() {
        let (mut progress, mut idle) = (Progress::default(), Progress::default());
        assert!(!after(&mut progress, 5, |second| (1, vec![second, 4])).is_stalled);
        assert!(after(&mut progress, 1, |second| (1, vec![second, 4])).is_stalled);
        for second in 0..7 {
            idle.begin(SECOND);
            let standing = idle.of(&"writer".into(), Reading { threads: &[1], ..IDLE });
            assert_eq!(standing.without_progress, (second >= 2).then(|| second * SECOND), "{second}");
            assert_eq!(standing.is_stalled, second >= 5, "{second}");
        }
    }

    #[test]
    fn the_time_of_a_paused_process_is_not_counted() {
        let mut progress = Progress::default();
        after(&mut progress, 2, |_| (1, vec![]));
        progress.begin(Duration::from_secs(600));
        assert!(!progress.of(&"writer".into(), BUSY).is_stalled);
    }
}

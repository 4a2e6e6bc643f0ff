//! Stall detection (watchdog): an actor with work, or a thread, whose heartbeat does not advance.

use std::sync::Arc;

use crate::runtime::actor_guard::Heartbeat;

/// Compares a heartbeat with its last progress.
#[derive(Debug)]
pub(super) struct StallDetector {
    heartbeat: Arc<Heartbeat>,
    progress: u64,
    since_ms: u64,
    /// The detectors of an actor's own threads.
    threads: Vec<StallDetector>,
}

impl StallDetector {
    /// A detector that starts now.
    pub(super) fn new(heartbeat: Arc<Heartbeat>, now_ms: u64) -> Self {
        Self { heartbeat, progress: 0, since_ms: now_ms, threads: Vec::new() }
    }

    /// Whether there has been work and no progress for `bound_ms`. Call it at least twice within that time.
    pub(super) fn is_stalled(&mut self, now_ms: u64, bound_ms: u64) -> bool {
        let (progress, busy) = self.heartbeat.read();
        if !busy || progress != self.progress {
            (self.progress, self.since_ms) = (progress, now_ms);
        }
        let threads = self.heartbeat.threads();
        for heartbeat in &threads[self.threads.len().min(threads.len())..] {
            self.threads.push(StallDetector::new(heartbeat.clone(), now_ms));
        }
        now_ms.saturating_sub(self.since_ms) >= bound_ms
            || self.threads.iter_mut().any(|thread| thread.is_stalled(now_ms, bound_ms))
    }

    /// Whether the actor has work.
    pub(super) fn is_busy(&self) -> bool {
        self.heartbeat.read().1
    }
}

/// A clock that counts only the time during which the supervisor ran: while the whole process is paused (SIGSTOP, a paused
/// machine) no actor makes progress, and none has stalled.
#[derive(Debug, Default)]
pub(super) struct ObservedTime {
    last_ms: u64,
    observed_ms: u64,
}

impl ObservedTime {
    /// Advances to `now_ms`, by at most `most_ms`; returns the observed time.
    pub(super) fn tick(&mut self, now_ms: u64, most_ms: u64) -> u64 {
        self.observed_ms += now_ms.saturating_sub(self.last_ms).min(most_ms);
        self.last_ms = now_ms;
        self.observed_ms
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::runtime::actor_guard::ActorGuard;

    fn child() -> (ActorGuard, StallDetector) {
        let heartbeat = Arc::new(Heartbeat::default());
        (
            ActorGuard::new("child", "child".into(), 1, unbounded_channel().0, heartbeat.clone()),
            StallDetector::new(heartbeat, 0),
        )
    }

    #[test]
    fn only_work_without_progress_is_a_stall() {
        let (actor_guard, mut stall) = child();
        assert!(!stall.is_stalled(1_000, 100), "idle");
        actor_guard.busy(true);
        assert!(!stall.is_stalled(1_099, 100));
        actor_guard.progress();
        assert!(!stall.is_stalled(1_150, 100));
        assert!(!stall.is_stalled(1_249, 100));
        assert!(stall.is_stalled(1_250, 100));
        actor_guard.busy(false);
        assert!(!stall.is_stalled(1_300, 100));
    }

    #[actix::test]
    async fn an_actor_stalls_with_its_own_thread() {
        let (actor_guard, mut stall) = child();
        let thread = actix_rt::Arbiter::new();
        actor_guard.watch_thread(&thread.handle());
        assert!(!stall.is_stalled(0, 100));
        let (block, blocked) = std::sync::mpsc::channel::<()>();
        thread.spawn_fn(move || {
            let _ = blocked.recv();
        });
        let began = std::time::Instant::now();
        let mut now_ms = 0;
        // Heartbeats from before the block come first.
        while !stall.is_stalled(now_ms, 100) {
            assert!(began.elapsed().as_secs() < 20, "no stall within 20 s");
            now_ms += 10;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        drop(block);
        thread.stop();
    }

    #[test]
    fn the_time_of_a_paused_process_is_not_counted() {
        let mut time = ObservedTime::default();
        assert_eq!(
            [1_000, 2_000, 120_000, 121_000].map(|now_ms| time.tick(now_ms, 2_000)),
            [1_000, 2_000, 4_000, 5_000]
        );
    }
}

//! Who stands still.

use std::sync::Arc;

use crate::runtime::actor_guard::Heartbeat;

/// A heartbeat under observation.
#[derive(Debug)]
pub(super) struct Watch {
    heartbeat: Arc<Heartbeat>,
    progress: u64,
    since_ms: u64,
    /// The heartbeats of a child's own threads.
    threads: Vec<Watch>,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn new(heartbeat: Arc<Heartbeat>, now_ms: u64) -> Self {
        Self { heartbeat, progress: 0, since_ms: now_ms, threads: Vec::new() }
    }

    /// Whether it has had work for `bound_ms` and has not got on. To be asked at least twice in that time.
    pub(super) fn is_stuck(&mut self, now_ms: u64, bound_ms: u64) -> bool {
        let (progress, busy) = self.heartbeat.read();
        if !busy || progress != self.progress {
            (self.progress, self.since_ms) = (progress, now_ms);
        }
        let threads = self.heartbeat.threads();
        for heartbeat in &threads[self.threads.len().min(threads.len())..] {
            self.threads.push(Watch::new(heartbeat.clone(), now_ms));
        }
        now_ms.saturating_sub(self.since_ms) >= bound_ms
            || self.threads.iter_mut().any(|thread| thread.is_stuck(now_ms, bound_ms))
    }

    /// Whether it has work.
    pub(super) fn is_busy(&self) -> bool {
        self.heartbeat.read().1
    }
}

/// Milliseconds during which somebody watched. While the whole process stands still (SIGSTOP, a machine that is paused)
/// nobody gets on and nobody is to blame.
#[derive(Debug, Default)]
pub(super) struct WatchedTime {
    last_ms: u64,
    watched_ms: u64,
}

impl WatchedTime {
    /// At `now_ms` somebody watches, as at least every `most_ms`; how long that has been done in all.
    pub(super) fn tick(&mut self, now_ms: u64, most_ms: u64) -> u64 {
        self.watched_ms += now_ms.saturating_sub(self.last_ms).min(most_ms);
        self.last_ms = now_ms;
        self.watched_ms
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::runtime::actor_guard::ActorGuard;

    fn child() -> (ActorGuard, Watch) {
        let heartbeat = Arc::new(Heartbeat::default());
        (ActorGuard::new("child", 1, unbounded_channel().0, heartbeat.clone()), Watch::new(heartbeat, 0))
    }

    #[test]
    fn only_work_that_does_not_get_on_counts() {
        let (actor_guard, mut watch) = child();
        assert!(!watch.is_stuck(1_000, 100), "idle for however long");
        actor_guard.busy(true);
        assert!(!watch.is_stuck(1_099, 100));
        actor_guard.progress();
        assert!(!watch.is_stuck(1_150, 100));
        assert!(!watch.is_stuck(1_249, 100));
        assert!(watch.is_stuck(1_250, 100));
        actor_guard.busy(false);
        assert!(!watch.is_stuck(1_300, 100));
    }

    #[actix::test]
    async fn a_childs_own_thread_that_stands_still_is_the_childs_fault() {
        let (actor_guard, mut watch) = child();
        let thread = actix_rt::Arbiter::new();
        actor_guard.watch_thread(&thread.handle());
        assert!(!watch.is_stuck(0, 100));
        let (block, blocked) = std::sync::mpsc::channel::<()>();
        thread.spawn_fn(move || {
            let _ = blocked.recv();
        });
        let began = std::time::Instant::now();
        let mut now_ms = 0;
        // Beats from before the thread stood still come first.
        while !watch.is_stuck(now_ms, 100) {
            assert!(began.elapsed().as_secs() < 20, "never");
            now_ms += 10;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        drop(block);
        thread.stop();
    }

    #[test]
    fn a_process_that_stood_still_has_not_been_watched() {
        let mut time = WatchedTime::default();
        assert_eq!(
            [1_000, 2_000, 120_000, 121_000].map(|now_ms| time.tick(now_ms, 2_000)),
            [1_000, 2_000, 4_000, 5_000]
        );
    }
}

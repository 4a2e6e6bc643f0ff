//! The observer: takes a snapshot every second on a thread of its own, keeps the last one and five minutes of history, and
//! sends each to whoever watches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::web::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use super::collector::{Collector, Sources};
use super::history::{self, History, Point};
use super::snapshot::Snapshot;
use super::viewers::{NotAdmitted, Viewers};
use crate::runtime::connections::Held;

/// Time from snapshot to snapshot.
const PERIOD: Duration = Duration::from_secs(1);
/// Time that changes of actors have to become complete before they are looked at.
const SETTLED: Duration = Duration::from_millis(20);

/// What was observed last.
#[derive(Debug)]
pub(crate) struct Observer {
    latest: Mutex<Latest>,
    viewers: Viewers,
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Latest {
    snapshot: Arc<Snapshot>,
    point: Point,
    history: History,
}

impl Observer {
    /// Starts to observe; the first snapshot is there when this returns.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(crate) fn start(sources: Sources) -> io::Result<Arc<Self>> {
        let observer = Arc::new(Self {
            latest: Mutex::default(),
            viewers: Viewers::new(sources.metrics.console.clone()),
            has_ended: AtomicBool::new(false),
        });
        let (changes, reported) = sync_channel(1);
        sources.instances.report_changes(changes);
        let mut collector = Collector::new(sources, Instant::now());
        observer.observe(&mut collector, true);
        let shared = observer.clone();
        thread::Builder::new().name("observe".to_owned()).spawn(move || shared.run(collector, &reported))?;
        Ok(observer)
    }

    fn run(&self, mut collector: Collector, changes: &Receiver<()>) {
        let mut next = Instant::now() + PERIOD;
        while !self.has_ended.load(Ordering::Relaxed) {
            let is_in_turn = match changes.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(()) => {
                    // A generation changes all of its actors at once.
                    thread::sleep(SETTLED);
                    false
                }
                Err(RecvTimeoutError::Timeout) => {
                    // After a pause of the process none is made up for.
                    next = (next + PERIOD).max(Instant::now());
                    true
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.observe(&mut collector, is_in_turn);
        }
    }

    /// Takes a snapshot: in turn, or out of turn because an actor has begun or ended, which nobody should see a second late.
    fn observe(&self, collector: &mut Collector, is_in_turn: bool) {
        let (now, time) = (Instant::now(), SystemTime::now());
        let snapshot = Arc::new(collector.take(now, time, is_in_turn, self.viewers.count()));
        let point = history::point(&snapshot, epoch_seconds(time));
        {
            let mut latest = self.latest.lock();
            if is_in_turn {
                latest.history.add(point);
            }
            (latest.snapshot, latest.point) = (snapshot.clone(), point);
        }
        self.viewers.send(|| event("snapshot", &json!({"snapshot": &*snapshot, "point": point})), now);
    }

    /// The last snapshot.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.latest.lock().snapshot.clone()
    }

    /// A viewer's stream: first the history and the last snapshot, then each that follows.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn watch(
        &self,
        connection: impl FnOnce() -> Option<Held>,
    ) -> Result<mpsc::Receiver<Bytes>, NotAdmitted> {
        let first = {
            let latest = self.latest.lock();
            let snapshot = json!({"snapshot": &*latest.snapshot, "point": latest.point});
            [event("history", &json!(latest.history.shown())), event("snapshot", &snapshot)].concat()
        };
        self.viewers.admit(first.into(), connection, Instant::now())
    }

    /// Ends every stream and the observing.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.viewers.end();
    }
}

/// A server-sent event. JSON has no line breaks.
fn event(name: &str, data: &serde_json::Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

fn epoch_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map(|since| since.as_millis() as f64 / 1e3).unwrap_or_default()
}

//! Failpoints: deliberate crashes for tests of supervision and recovery. Compiled only with the feature `testing`.
//!
//! `INGEST_FAILPOINTS="validator=panic@500;writer=kill@1"`: the Nth time that the named place is reached, it fails:
//!
//! - `panic`: the place panics.
//! - `kill`: the process aborts, as by SIGKILL.
//! - `block`: the thread blocks forever, as in an endless loop or a deadlock.
//! - `pause`: the thread blocks for two seconds.

/// The variable that names the places, and how they fail.
#[cfg(feature = "testing")]
pub(crate) const VARIABLE: &str = "INGEST_FAILPOINTS";

/// A place where a test can make the node fail.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub fn pass(_place: &'static str) {}

/// A place where a test can make the node fail.
#[cfg(feature = "testing")]
pub(crate) fn pass(place: &'static str) {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[derive(Clone, Copy)]
    enum Failure {
        Panic,
        Kill,
        Block,
        Pause,
    }

    static PLACES: OnceLock<HashMap<String, (Failure, AtomicI64)>> = OnceLock::new();
    let places = PLACES.get_or_init(|| {
        std::env::var(VARIABLE)
            .unwrap_or_default()
            .split(';')
            .filter_map(|entry| {
                let (place, what) = entry.split_once('=')?;
                let (failure, times) = what.split_once('@')?;
                let failure = match failure {
                    "panic" => Failure::Panic,
                    "kill" => Failure::Kill,
                    "block" => Failure::Block,
                    "pause" => Failure::Pause,
                    _ => return None,
                };
                Some((place.trim().to_owned(), (failure, AtomicI64::new(times.trim().parse().ok()?))))
            })
            .collect()
    });
    if let Some((failure, left)) = places.get(place)
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        match failure {
            Failure::Panic => panic!("failpoint {place}"),
            // No destructor runs and no other thread continues, as with SIGKILL.
            Failure::Kill => std::process::abort(),
            Failure::Block => loop {
                std::thread::park();
            },
            Failure::Pause => std::thread::sleep(std::time::Duration::from_secs(2)),
        }
    }
}

//! Crashes on purpose, for the tests of the supervision tree and of what outlives a node. Without the feature `failpoints`
//! nothing of it is built.
//!
//! `INGEST_FAILPOINTS="validator=panic@500;writer=kill@1"`: the Nth time the named place is passed, it panics, or the
//! whole process dies on the spot as by SIGKILL.

/// A place where a test may let the node crash.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn pass(_place: &'static str) {}

/// A place where a test may let the node crash.
#[cfg(feature = "failpoints")]
pub fn pass(place: &'static str) {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[derive(Clone, Copy)]
    enum Crash {
        Panic,
        Kill,
    }

    static PLACES: OnceLock<HashMap<String, (Crash, AtomicI64)>> = OnceLock::new();
    let places = PLACES.get_or_init(|| {
        std::env::var("INGEST_FAILPOINTS")
            .unwrap_or_default()
            .split(';')
            .filter_map(|entry| {
                let (place, what) = entry.split_once('=')?;
                let (crash, times) = what.split_once('@')?;
                let crash = match crash {
                    "panic" => Crash::Panic,
                    "kill" => Crash::Kill,
                    _ => return None,
                };
                Some((place.trim().to_owned(), (crash, AtomicI64::new(times.trim().parse().ok()?))))
            })
            .collect()
    });
    if let Some((crash, left)) = places.get(place)
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        match crash {
            Crash::Panic => panic!("failpoint {place}"),
            // No destructor runs and no other thread gets any further: nobody can do more about it than about SIGKILL.
            Crash::Kill => std::process::abort(),
        }
    }
}

//! Crashes on purpose, for the tests of the supervision tree. Without the feature `failpoints` nothing of it is built.
//!
//! `INGEST_FAILPOINTS="validator=panic@500;writer=panic@1"`: the named place panics once, the Nth time it is passed.

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

    static PLACES: OnceLock<HashMap<String, AtomicI64>> = OnceLock::new();
    let places = PLACES.get_or_init(|| {
        std::env::var("INGEST_FAILPOINTS")
            .unwrap_or_default()
            .split(';')
            .filter_map(|entry| {
                let (place, times) = entry.split_once("=panic@")?;
                Some((place.trim().to_owned(), AtomicI64::new(times.trim().parse().ok()?)))
            })
            .collect()
    });
    if let Some(left) = places.get(place)
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        panic!("failpoint {place}");
    }
}

//! Figure sources: figures that a component knows and that are read when they are scraped, so that no state is kept twice.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

type Read<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Where a scrape reads a component's figures; none before the component is there, and then there are no samples.
pub struct FigureSource<T>(Mutex<Option<Read<T>>>);

impl<T> FigureSource<T> {
    /// Scrapes read from here from now on. It is called on the HTTP server's thread: it reads shared state and never waits
    /// for an actor.
    pub fn read_from(&self, read: impl Fn() -> T + Send + Sync + 'static) {
        *self.0.lock() = Some(Arc::new(read));
    }

    /// The figures of this moment.
    pub fn read(&self) -> Option<T> {
        // The lock is not held meanwhile.
        let read = self.0.lock().clone();
        read.map(|read| read())
    }
}

impl<T> Default for FigureSource<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> fmt::Debug for FigureSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FigureSource").field(&self.0.lock().is_some()).finish()
    }
}

//! The level of the log, which can be changed while the node runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use slog::{Drain, Level, OwnedKVList, Record};

/// The level below which nothing is logged. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(Arc<AtomicUsize>);

impl LogLevel {
    /// A log of this level.
    pub(crate) fn new(level: Level) -> Self {
        Self(Arc::new(AtomicUsize::new(level.as_usize())))
    }

    /// Changes it, where the name is one; returns whether it is another one than before.
    pub(crate) fn set(&self, name: &str) -> bool {
        let Ok(level) = name.parse::<Level>() else { return false };
        self.0.swap(level.as_usize(), Ordering::Relaxed) != level.as_usize()
    }

    fn allows(&self, level: Level) -> bool {
        level.as_usize() <= self.0.load(Ordering::Relaxed)
    }
}

/// Lets through what the level allows.
pub(super) struct AtLevel<D> {
    pub drain: D,
    pub level: LogLevel,
}

impl<D: Drain> Drain for AtLevel<D> {
    type Ok = Option<D::Ok>;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<Self::Ok, Self::Err> {
        match self.level.allows(record.level()) {
            true => self.drain.log(record, values).map(Some),
            false => Ok(None),
        }
    }

    fn is_enabled(&self, level: Level) -> bool {
        self.level.allows(level) && self.drain.is_enabled(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_changed_for_all_who_share_it() {
        let level = LogLevel::new(Level::Info);
        assert!(level.allows(Level::Warning) && !level.allows(Level::Debug));
        assert!(level.clone().set("debug") && level.allows(Level::Debug));
        assert!(!level.set("debug") && !level.set("loud"));
        assert!(level.set("ERROR") && !level.allows(Level::Warning));
    }
}

//! When a device is silent, and when it is back.

use super::cadence::Cadence;

/// So many usual intervals are never silence, whatever the settings say.
const LEAST_INTERVALS: i64 = 2;

/// After how long a device is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Usual intervals.
    pub factor: i64,
    /// At least this, in microseconds.
    pub least_us: i64,
    /// At most this, in microseconds, or two usual intervals.
    pub most_us: i64,
}

/// What is known of a device's silence. Times are the broker's, Unix microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// It is not silent before this moment; not exact, so that it need not change with every message.
    pub due_us: Option<i64>,
    /// Since when it counts as silent; `None` while it does not.
    pub since_us: Option<i64>,
    /// When it came back, as long as nobody was told.
    pub returned_us: Option<i64>,
}

/// What a look at a device finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// It is silent, since this moment.
    SilentSince(i64),
    /// It is not, and will not be before this moment.
    NotBefore(i64),
    /// It can't be assessed before it has sent more.
    Unknown,
}

impl Limits {
    /// After how long without a message a device is silent, in microseconds; `None` while its usual interval is not known.
    pub fn silent_after_us(&self, cadence: Cadence) -> Option<i64> {
        let usual_us = cadence.usual_us()?;
        let most_us = self.most_us.min(usual_us.saturating_mul(self.factor));
        Some(most_us.max(usual_us.saturating_mul(LEAST_INTERVALS)).max(self.least_us))
    }

    /// Looks at a device whose last message came at `last_us`. All that came from `seen.0` to `seen.1` is known: what came
    /// before, or could not come, may not be held against it.
    pub fn assess(&self, cadence: Cadence, last_us: i64, seen: (i64, i64)) -> Assessment {
        let Some(after_us) = self.silent_after_us(cadence) else { return Assessment::Unknown };
        let excused_us = last_us.max(seen.0).saturating_add(after_us);
        if excused_us <= seen.1 {
            Assessment::SilentSince(last_us.saturating_add(after_us))
        } else {
            Assessment::NotBefore(excused_us)
        }
    }
}

impl Silence {
    /// A message came at `last_us`, later than all before it.
    pub(super) fn hear(&mut self, last_us: i64, cadence: Cadence, limits: &Limits) {
        if self.since_us.is_some() {
            self.returned_us = self.returned_us.or(Some(last_us));
        }
        self.due_us = limits.silent_after_us(cadence).map(|after_us| {
            let near = last_us.saturating_add(after_us / 2);
            let far = last_us.saturating_add(after_us.saturating_mul(2));
            self.due_us.filter(|due| (near..=far).contains(due)).unwrap_or(last_us.saturating_add(after_us))
        });
    }
}

//! How many alerts a tenant gets within a minute.

use std::collections::HashMap;

use super::message::Kind;

/// A tenant's alerts of single devices, within a minute, and one for all others of each kind.
#[derive(Clone, Debug)]
pub struct Quota {
    per_minute: usize,
    minute: i64,
    used: HashMap<String, Used>,
}

#[derive(Clone, Debug, Default)]
struct Used {
    single: usize,
    of_many: Vec<Kind>,
}

impl Quota {
    /// So many alerts of single devices per tenant and minute.
    pub fn new(per_minute: usize) -> Self {
        Self { per_minute, minute: i64::MIN, used: HashMap::new() }
    }

    /// The minute, counted from 1970, that it is about from now on.
    pub fn begin(&mut self, minute: i64) {
        if minute != self.minute {
            self.minute = minute;
            self.used.clear();
        }
    }

    /// Takes up to `wanted` alerts of single devices; how many there are left for it.
    pub(super) fn take(&mut self, tenant_id: &str, wanted: usize) -> usize {
        let used = self.used.entry(tenant_id.to_owned()).or_default();
        let taken = wanted.min(self.per_minute.saturating_sub(used.single));
        used.single += taken;
        taken
    }

    /// Takes the alert about many; whether it was there.
    pub(super) fn take_of_many(&mut self, tenant_id: &str, kind: Kind) -> bool {
        let used = self.used.entry(tenant_id.to_owned()).or_default();
        let is_left = !used.of_many.contains(&kind);
        if is_left {
            used.of_many.push(kind);
        }
        is_left
    }

    pub(super) fn minute(&self) -> i64 {
        self.minute
    }
}

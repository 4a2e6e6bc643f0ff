//! Which lanes a node runs.

use super::handle::Lane;
use super::spec::RunWhen;

/// The lanes that a node runs, as a set of places in the table of lanes. A lane that is off is shown nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes(u32);

impl Lanes {
    /// The lanes whose activation is one of these.
    pub(crate) fn with(is_on: impl Fn(RunWhen) -> bool) -> Self {
        let on = Lane::all().filter(|lane| is_on(lane.activation()));
        Self(on.fold(0, |set, lane| set | 1 << lane.index()))
    }

    /// Each of them, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Lane> + Clone {
        (0..Lane::COUNT).filter_map(Lane::at).filter(move |lane| self.contains(*lane))
    }

    /// Whether this one is among them.
    pub(crate) fn contains(self, lane: Lane) -> bool {
        self.0 & 1 << lane.index() != 0
    }

    /// How many there are.
    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

impl Default for Lanes {
    /// Those that every node runs.
    fn default() -> Self {
        Self::with(|activation| activation == RunWhen::Always)
    }
}

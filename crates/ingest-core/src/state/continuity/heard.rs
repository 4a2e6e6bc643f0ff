//! What was heard of one device between two flushes: the numbers of its messages, and when they came.

/// Most runs of numbers of one device between two flushes. A device that counts has one.
const MAX_RUNS: usize = 256;

/// What matters of a message here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number; without one (0) or with a negative one it is not assessed.
    pub seq: i64,
    /// The broker's time of it, Unix microseconds.
    pub received_us: i64,
    /// It is stored for the first time: no redelivery, and no message whose storing may have been noticed before.
    pub is_new: bool,
    /// It carries measurements: a heartbeat may have the number of the reading before it.
    pub is_reading: bool,
}

/// Numbers one after the other, or one number several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) last: i64,
    /// When the first and the last of them came, Unix microseconds.
    pub(super) came_us: (i64, i64),
    /// How many messages of one number.
    pub(super) times: u32,
    pub(super) is_new: bool,
    /// All of them carry measurements.
    pub(super) is_reading: bool,
}

impl Run {
    fn of(message: Message) -> Self {
        let Message { seq, received_us, is_new, is_reading } = message;
        Self { first: seq, last: seq, came_us: (received_us, received_us), times: 1, is_new, is_reading }
    }

    /// Adds a later run; whether it continues this one.
    fn extend(&mut self, later: &Run) -> bool {
        if self.is_new != later.is_new || later.came_us.0 < self.came_us.1 {
            return false;
        }
        if self.times == 1 && later.times == 1 && self.last.checked_add(1) == Some(later.first) {
            self.last = later.last;
        } else if [self.last, later.first, later.last] == [self.first; 3] {
            self.times = self.times.saturating_add(later.times);
        } else {
            return false;
        }
        self.came_us.1 = later.came_us.1;
        self.is_reading &= later.is_reading;
        true
    }
}

/// The messages of one device since the last flush. A message costs a comparison and no memory while the device counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The run that is extended.
    current: Option<Run>,
    earlier: Vec<Run>,
    /// There were too many runs: the numbers say nothing.
    pub(super) is_cut: bool,
    /// The first and the last message by the broker's time, Unix microseconds.
    arrivals: Option<(i64, i64)>,
    /// Messages in all.
    messages: u32,
    /// The longest time between two of them, in microseconds.
    longest_us: i64,
}

impl Heard {
    /// Adds a message.
    pub fn add(&mut self, message: Message) {
        let at = message.received_us;
        self.arrived((at, at), 1, 0);
        if message.seq > 0 {
            self.push(Run::of(message));
        }
    }

    /// Adds what was heard later.
    pub fn merge(&mut self, later: Heard) {
        let Some(arrivals) = later.arrivals else { return };
        self.arrived(arrivals, later.messages, later.longest_us);
        self.is_cut |= later.is_cut;
        for run in later.earlier.into_iter().chain(later.current) {
            self.push(run);
        }
    }

    fn arrived(&mut self, (first, last): (i64, i64), messages: u32, longest_us: i64) {
        // What overlaps has no interval between it.
        let between = self.arrivals.map_or(0, |(_, before)| first.saturating_sub(before).max(0));
        self.longest_us = self.longest_us.max(longest_us).max(between);
        self.arrivals = Some(self.arrivals.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
        self.messages = self.messages.saturating_add(messages);
    }

    fn push(&mut self, run: Run) {
        let is_continued = self.current.as_mut().is_some_and(|current| current.extend(&run));
        if !is_continued {
            self.earlier.extend(self.current.replace(run));
        }
        if self.earlier.len() >= MAX_RUNS {
            self.is_cut = true;
            self.earlier.clear();
        }
    }

    /// What was heard may be on record already, as a write got no answer: its repeats are not counted, perhaps once more.
    /// All else may be added twice.
    pub fn leave_out_repeats(&mut self) {
        for run in self.earlier.iter_mut().chain(&mut self.current) {
            run.is_reading = false;
        }
    }

    /// When its latest message came, Unix microseconds.
    pub(super) fn last_us(&self) -> Option<i64> {
        self.arrivals.map(|(_, last)| last)
    }

    /// The longest interval between two messages, in microseconds, and how many there were; `before`: when the one before
    /// all of these came.
    pub(super) fn intervals(&self, before_us: Option<i64>) -> (i64, u32) {
        let Some((first, _)) = self.arrivals else { return (0, 0) };
        let since = before_us.map(|before| first.saturating_sub(before)).filter(|since| *since > 0);
        (self.longest_us.max(since.unwrap_or(0)), self.messages - u32::from(since.is_none()))
    }

    /// The runs by the broker's time of their first messages.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = self.earlier.iter().copied().chain(self.current).collect();
        runs.sort_by_key(|run| run.came_us.0);
        runs
    }
}

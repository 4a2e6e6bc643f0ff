//! The table of a lane's unsettled deliveries, by slot.

use super::window::Window;

/// A lane's unsettled deliveries. Each gets a slot number; a slot is settled exactly once, however often that is requested.
#[derive(Debug)]
pub struct InFlight<T> {
    window: Window,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    messages: usize,
    bytes: usize,
    nacked: usize,
    postponed: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Free,
    /// Awaits its verdict; with `due_ms`, its next attempt within the node, and no component holds it until then.
    Open {
        entry: T,
        bytes: usize,
        admitted_ms: u64,
        touched_ms: u64,
        due_ms: Option<u64>,
    },
    /// Nacked, but a component of the node still holds it: its credit stays taken until that ends, or memory would grow
    /// with every delivery that is nacked during a long outage.
    Nacked {
        bytes: usize,
    },
}

impl<T> InFlight<T> {
    /// An empty table.
    pub fn new(window: Window) -> Self {
        Self { window, slots: Vec::new(), free: Vec::new(), messages: 0, bytes: 0, nacked: 0, postponed: 0 }
    }

    /// Adds a delivery and returns its slot. Times are milliseconds of any monotonic clock.
    pub fn admit(&mut self, entry: T, bytes: usize, now_ms: u64) -> u64 {
        let state = State::Open { entry, bytes, admitted_ms: now_ms, touched_ms: now_ms, due_ms: None };
        self.messages += 1;
        self.bytes += bytes;
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize].state = state;
                index
            }
            None => {
                self.slots.push(Slot { generation: 0, state });
                (self.slots.len() - 1) as u32
            }
        };
        number(self.slots[index as usize].generation, index as usize)
    }

    /// Settles a slot; its entry where it awaited this verdict, `None` where it was nacked before.
    pub fn settle(&mut self, slot: u64) -> Option<T> {
        let index = self.index(slot)?;
        self.free_slot(index)
    }

    /// The entry of a slot that awaits its verdict.
    pub fn get(&self, slot: u64) -> Option<&T> {
        match &self.slots[self.index(slot)?].state {
            State::Open { entry, .. } => Some(entry),
            State::Free | State::Nacked { .. } => None,
        }
    }

    /// The delivery has failed and is retried within the node at `due_ms`. Its number changes, so that the old one can't
    /// settle it. A slot that was nacked before is freed.
    pub fn postpone(&mut self, slot: u64, due_ms: u64) {
        let Some(index) = self.index(slot) else { return };
        let found = &mut self.slots[index];
        match &mut found.state {
            State::Open { due_ms: due, .. } => {
                found.generation = found.generation.wrapping_add(1);
                self.postponed += usize::from(due.replace(due_ms).is_none());
            }
            State::Nacked { .. } => drop(self.free_slot(index)),
            State::Free => {}
        }
    }

    /// Those whose next attempt is due, each with its new number.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<(u64, &mut T)> {
        if self.postponed == 0 {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let State::Open { entry, due_ms, .. } = &mut slot.state
                && due_ms.take_if(|due_ms| *due_ms <= now_ms).is_some()
            {
                self.postponed -= 1;
                taken.push((number(slot.generation, index), entry));
            }
        }
        taken
    }

    fn index(&self, slot: u64) -> Option<usize> {
        let index = (slot & 0xFFFF_FFFF) as usize;
        let is_its = |found: &Slot<T>| u64::from(found.generation) == slot >> 32;
        self.slots.get(index).is_some_and(is_its).then_some(index)
    }

    fn free_slot(&mut self, index: usize) -> Option<T> {
        let found = &mut self.slots[index];
        let state = std::mem::replace(&mut found.state, State::Free);
        if matches!(state, State::Free) {
            return None;
        }
        found.generation = found.generation.wrapping_add(1);
        self.free.push(index as u32);
        match state {
            State::Free => None,
            State::Open { entry, bytes, due_ms, .. } => {
                self.messages -= 1;
                self.bytes -= bytes;
                self.postponed -= usize::from(due_ms.is_some());
                Some(entry)
            }
            State::Nacked { bytes } => {
                self.nacked -= 1;
                self.bytes -= bytes;
                None
            }
        }
    }

    /// Deliveries without a disposition.
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Whether every delivery has its disposition.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes that the window counts.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Credit: what is left of the window.
    pub fn credit(&self) -> Window {
        Window {
            messages: self.window.messages.saturating_sub(self.messages + self.nacked),
            bytes: self.window.bytes.saturating_sub(self.bytes),
        }
    }

    /// Those for which the broker got no progress report for `interval_ms`; they count as reported from now on.
    pub fn touch_due(&mut self, now_ms: u64, interval_ms: u64) -> impl Iterator<Item = &T> {
        self.slots.iter_mut().filter_map(move |slot| match &mut slot.state {
            State::Open { entry, touched_ms, .. } if now_ms.saturating_sub(*touched_ms) >= interval_ms => {
                *touched_ms = now_ms;
                Some(&*entry)
            }
            _ => None,
        })
    }

    /// Takes out those that have been held for `bound_ms`, to be nacked so that the broker delivers them elsewhere. Their
    /// credit is released when their slot is settled, or at once where no component holds them.
    pub fn nack_overdue(&mut self, now_ms: u64, bound_ms: u64) -> Vec<T> {
        let mut overdue = Vec::new();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let State::Open { bytes, admitted_ms, due_ms, .. } = &slot.state else { continue };
            if now_ms.saturating_sub(*admitted_ms) < bound_ms {
                continue;
            }
            if due_ms.is_some() {
                overdue.extend(self.free_slot(index));
                continue;
            }
            let bytes = *bytes;
            if let State::Open { entry, .. } = std::mem::replace(&mut slot.state, State::Nacked { bytes }) {
                self.messages -= 1;
                self.nacked += 1;
                overdue.push(entry);
            }
        }
        overdue
    }

    /// Takes out all of them, as [`InFlight::nack_overdue`] does.
    pub fn nack_all(&mut self) -> Vec<T> {
        self.nack_overdue(u64::MAX, 0)
    }
}

fn number(generation: u32, index: usize) -> u64 {
    u64::from(generation) << 32 | index as u64
}

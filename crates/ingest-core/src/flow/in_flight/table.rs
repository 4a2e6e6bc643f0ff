//! The table of a lane's unsettled deliveries, by slot.

use super::window::Window;

/// A lane's unsettled deliveries. Each gets a slot number; a slot ends exactly once, whoever asks how often.
#[derive(Debug)]
pub struct InFlight<T> {
    window: Window,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    messages: usize,
    bytes: usize,
    handed_back: usize,
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
    /// Waits for its verdict; with `due_ms`, for its next attempt within the node: then nobody works on it.
    Open {
        entry: T,
        bytes: usize,
        admitted_ms: u64,
        touched_ms: u64,
        due_ms: Option<u64>,
    },
    /// Handed back to the broker, but somebody in the house still holds it: it keeps its credit until then, or memory
    /// would grow with every delivery that is handed back during a long outage.
    HandedBack {
        bytes: usize,
    },
}

impl<T> InFlight<T> {
    /// An empty table.
    pub fn new(window: Window) -> Self {
        Self { window, slots: Vec::new(), free: Vec::new(), messages: 0, bytes: 0, handed_back: 0, postponed: 0 }
    }

    /// Takes a delivery in and gives it its slot. Times are milliseconds of any clock that only goes forward.
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

    /// Ends a slot; its entry where it waited for this verdict, `None` where it has been handed back before.
    pub fn settle(&mut self, slot: u64) -> Option<T> {
        let index = self.index(slot)?;
        self.free_slot(index)
    }

    /// The entry of a slot that waits for its verdict.
    pub fn get(&self, slot: u64) -> Option<&T> {
        match &self.slots[self.index(slot)?].state {
            State::Open { entry, .. } => Some(entry),
            State::Free | State::HandedBack { .. } => None,
        }
    }

    /// The delivery has failed and is kept for another attempt within the node at `due_ms`. Whoever still has its number
    /// can't end it any more. A slot that has been handed back before ends here.
    pub fn postpone(&mut self, slot: u64, due_ms: u64) {
        let Some(index) = self.index(slot) else { return };
        let found = &mut self.slots[index];
        match &mut found.state {
            State::Open { due_ms: due, .. } => {
                found.generation = found.generation.wrapping_add(1);
                self.postponed += usize::from(due.replace(due_ms).is_none());
            }
            State::HandedBack { .. } => drop(self.free_slot(index)),
            State::Free => {}
        }
    }

    /// Those whose next attempt is due, each with its number from now on.
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
            State::HandedBack { bytes } => {
                self.handed_back -= 1;
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

    /// How much more may come in.
    pub fn credit(&self) -> Window {
        Window {
            messages: self.window.messages.saturating_sub(self.messages + self.handed_back),
            bytes: self.window.bytes.saturating_sub(self.bytes),
        }
    }

    /// Those that nobody has told the broker about for `interval_ms`; from now on they count as told.
    pub fn touch_due(&mut self, now_ms: u64, interval_ms: u64) -> impl Iterator<Item = &T> {
        self.slots.iter_mut().filter_map(move |slot| match &mut slot.state {
            State::Open { entry, touched_ms, .. } if now_ms.saturating_sub(*touched_ms) >= interval_ms => {
                *touched_ms = now_ms;
                Some(&*entry)
            }
            _ => None,
        })
    }

    /// Takes out those that have been held for `bound_ms`, for the broker to deliver elsewhere. Their credit comes back
    /// only when their slot is settled, or at once where nobody works on them.
    pub fn hand_back_overdue(&mut self, now_ms: u64, bound_ms: u64) -> Vec<T> {
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
            if let State::Open { entry, .. } = std::mem::replace(&mut slot.state, State::HandedBack { bytes }) {
                self.messages -= 1;
                self.handed_back += 1;
                overdue.push(entry);
            }
        }
        overdue
    }

    /// Takes out all of them, as [`InFlight::hand_back_overdue`] does.
    pub fn hand_back_all(&mut self) -> Vec<T> {
        self.hand_back_overdue(u64::MAX, 0)
    }
}

fn number(generation: u32, index: usize) -> u64 {
    u64::from(generation) << 32 | index as u64
}

//! What waits beside the queue: batches of which something was refused, and what PostgreSQL can't take now.
//!
//! Nothing of it keeps a transaction while it waits, and it never takes the last one from fresh work.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sink::postgres::batch::{Batch, PutOff, WriteMode};
use crate::sink::postgres::kinds::Kind;
use crate::sink::postgres::queue::{Queue, split};
use ingest_core::flow::backoff::Backoff;

/// Most items of a batch that is written in isolation: keeps its transaction short however much of it is refused.
pub(super) const ISOLATED_SIZE: usize = 256;

/// A kind that PostgreSQL does not take is tried again at least this often: what waits is written within about a second.
const HOLD_FIRST: Duration = Duration::from_millis(50);
const HOLD_MAX: Duration = Duration::from_secs(1);

/// A poison suspect has others' time to take: it is tried again less often.
const SUSPECT_FIRST: Duration = Duration::from_millis(200);
const SUSPECT_MAX: Duration = Duration::from_secs(5);

/// Why a batch is written.
#[derive(Debug)]
pub(super) enum Role {
    /// It comes from the queue.
    Fresh,
    /// Something of the batch that it is a part of was refused.
    Part,
    /// It could not be stored although others could.
    Suspect(Backoff),
    /// A sample of a kind that is held: can it be stored again?
    Trial(Kind),
}

/// Batches that wait for another attempt.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// To be bisected, as soon as a transaction is free.
    parts: VecDeque<Batch>,
    /// Poison suspects, each with the time of its next attempt.
    suspects: VecDeque<(Instant, Backoff, Batch)>,
    is_suspect_tried: bool,
    /// Kinds whose tables take nothing.
    holds: Vec<Hold>,
}

/// A kind that is held until a trial of it is stored.
#[derive(Debug)]
struct Hold {
    kind: Kind,
    /// The server's answer.
    message: String,
    waiting: VecDeque<Batch>,
    /// Whether the next trial comes from the queue: what is refused for itself must not be tried alone for ever.
    takes_fresh: bool,
    is_tried: bool,
    due: Instant,
    backoff: Backoff,
}

impl Backlog {
    /// Appends a batch of which something was refused, in parts of at most `size`.
    pub(super) fn bisect(&mut self, batch: Batch, size: usize) {
        self.parts.extend(split(batch, size));
    }

    /// Takes what could not be stored; whether it is new that its kind is held.
    pub(super) fn put_off(&mut self, put_off: PutOff, role: &Role, queue: &mut Queue, now: Instant) -> bool {
        let PutOff { kind, is_general, answer, batch } = put_off;
        if !is_general {
            let mut backoff = match role {
                Role::Suspect(backoff) => *backoff,
                _ => backoff(SUSPECT_FIRST, SUSPECT_MAX),
            };
            let due = now + backoff.next(fastrand::f64());
            self.suspects.push_back((due, backoff, batch));
            return false;
        }
        if let Some(hold) = self.holds.iter_mut().find(|hold| hold.kind == kind) {
            hold.waiting.push_back(batch);
            return std::mem::replace(&mut hold.message, answer.message.clone()) != answer.message;
        }
        let mut backoff = backoff(HOLD_FIRST, HOLD_MAX);
        queue.hold(kind, true);
        self.holds.push(Hold {
            kind,
            message: answer.message,
            waiting: [batch].into(),
            takes_fresh: false,
            is_tried: false,
            due: now + backoff.next(fastrand::f64()),
            backoff,
        });
        true
    }

    /// An attempt has ended; whether a kind is held no more. What it put off was taken before.
    pub(super) fn attempted(&mut self, role: &Role, is_held_still: bool, queue: &mut Queue, now: Instant) -> bool {
        match role {
            Role::Suspect(_) => self.is_suspect_tried = false,
            Role::Trial(kind) => {
                let Some(at) = self.holds.iter().position(|hold| hold.kind == *kind) else { return false };
                if !is_held_still {
                    let hold = self.holds.swap_remove(at);
                    queue.hold(hold.kind, false);
                    self.parts.extend(hold.waiting);
                    return true;
                }
                let hold = &mut self.holds[at];
                hold.is_tried = false;
                hold.due = now + hold.backoff.next(fastrand::f64());
            }
            Role::Fresh | Role::Part => {}
        }
        false
    }

    /// Makes everything due: whoever drains has no time to wait.
    pub(super) fn retry_now(&mut self, now: Instant) {
        self.suspects.iter_mut().for_each(|(due, ..)| *due = now);
        self.holds.iter_mut().for_each(|hold| hold.due = now);
    }

    /// The next batch to be written, where one is due.
    pub(super) fn next(&mut self, queue: &mut Queue, now: Instant) -> Option<(Batch, Role)> {
        self.next_part().or_else(|| self.next_trial(queue, now)).or_else(|| self.next_suspect(now))
    }

    fn next_part(&mut self) -> Option<(Batch, Role)> {
        while let Some(mut part) = self.parts.pop_front() {
            self.keep_held(&mut part);
            if !part.is_empty() {
                return Some((part, Role::Part));
            }
        }
        None
    }

    fn next_trial(&mut self, queue: &mut Queue, now: Instant) -> Option<(Batch, Role)> {
        let hold = self.holds.iter_mut().find(|hold| !hold.is_tried && hold.due <= now)?;
        let fresh = if hold.takes_fresh { queue.take_of(hold.kind, ISOLATED_SIZE) } else { Batch::default() };
        hold.takes_fresh = !hold.takes_fresh;
        let batch = if fresh.is_empty() { hold.waiting.pop_front()? } else { fresh };
        hold.is_tried = true;
        Some((Batch { write_mode: WriteMode::Bisect, ..batch }, Role::Trial(hold.kind)))
    }

    fn next_suspect(&mut self, now: Instant) -> Option<(Batch, Role)> {
        if self.is_suspect_tried {
            return None;
        }
        let at = self.suspects.iter().position(|(due, ..)| *due <= now)?;
        let (_, backoff, mut batch) = self.suspects.remove(at)?;
        self.keep_held(&mut batch);
        if batch.is_empty() {
            return self.next_suspect(now);
        }
        self.is_suspect_tried = true;
        Some((batch, Role::Suspect(backoff)))
    }

    /// Leaves what is held out of a batch: it would only be tried in vain.
    fn keep_held(&mut self, batch: &mut Batch) {
        for hold in &mut self.holds {
            hold.waiting.extend(batch.take_kind(hold.kind));
        }
    }

    /// When something becomes due.
    pub(super) fn due(&self) -> Option<Instant> {
        let holds = self.holds.iter().filter(|hold| !hold.is_tried).map(|hold| hold.due);
        let suspects = self.suspects.iter().filter(|_| !self.is_suspect_tried).map(|(due, ..)| *due);
        holds.chain(suspects).min()
    }

    /// Everything in it.
    pub(super) fn len(&self) -> usize {
        let held = self.holds.iter().flat_map(|hold| &hold.waiting);
        self.parts.iter().chain(held).map(Batch::len).sum::<usize>() + self.suspected()
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deliveries that could not be stored although others could.
    pub(super) fn suspected(&self) -> usize {
        self.suspects.iter().map(|(.., batch)| batch.len()).sum()
    }

    /// Why kinds are held.
    pub(super) fn held(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.holds.iter().map(|hold| (hold.kind, hold.message.as_str()))
    }
}

fn backoff(first: Duration, max: Duration) -> Backoff {
    Backoff::new(first.as_millis() as u64, max.as_millis() as u64)
}

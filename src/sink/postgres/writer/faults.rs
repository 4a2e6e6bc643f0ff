//! What PostgreSQL does not take, in the log (once until it does again) and in `/ready`.

use std::sync::Arc;

use slog::{Logger, error, info, warn};

use super::backlog::Backlog;
use crate::postgres::classify::{Answer, Meaning};
use crate::runtime::readiness::Readiness;
use crate::sink::postgres::duty::Duty;
use crate::sink::postgres::kinds::Kind;

/// Faults since the last success.
pub(super) struct Faults {
    log: Logger,
    readiness: Arc<Readiness>,
    duty: Duty,
    /// Words about an outage, each logged once.
    outage: Vec<String>,
    is_down: bool,
    has_note: bool,
}

impl Faults {
    /// No fault yet.
    pub(super) fn new(log: Logger, readiness: Arc<Readiness>, duty: Duty) -> Self {
        Self { log, readiness, duty, outage: Vec::new(), is_down: false, has_note: false }
    }

    /// PostgreSQL takes no write.
    pub(super) fn outage(&mut self, words: &str) {
        if !self.outage.iter().any(|known| known == words) {
            warn!(self.log, "postgresql does not take writes, holding"; "error" => words);
            self.outage.push(words.to_owned());
        }
        self.readiness.down(self.duty.condition(), words);
        self.is_down = true;
    }

    /// PostgreSQL takes nothing of a kind.
    pub(super) fn held(&self, kind: Kind, answer: &Answer) {
        let (kind, error) = (kind.name(), &answer.message);
        match answer.meaning {
            Meaning::NotNow => {
                warn!(self.log, "postgresql does not take writes, holding"; "what" => kind, "error" => error)
            }
            Meaning::Unfit | Meaning::Refused => {
                error!(self.log, "postgresql is not set up for this node, holding"; "what" => kind, "error" => error);
            }
        }
    }

    /// A batch could not be stored although others could.
    pub(super) fn suspected(&self, kind: Kind, answer: &Answer) {
        if !self.has_note {
            warn!(self.log, "postgresql does not take some deliveries now, they wait behind the others";
                "what" => kind.name(), "error" => &answer.message);
        }
    }

    /// Something was stored.
    pub(super) fn stored(&mut self, backlog: &Backlog) {
        self.outage.clear();
        self.show(backlog);
    }

    /// Brings `/ready` up to date.
    pub(super) fn show(&mut self, backlog: &Backlog) {
        let suspected = backlog.suspected();
        if suspected > 0 {
            self.readiness.set_message(
                self.duty.subject(),
                format!("does not take {suspected} deliveries now, they wait behind the others"),
            );
        } else if self.has_note {
            self.readiness.clear_message(self.duty.subject());
        }
        self.has_note = suspected > 0;
        if let Some((kind, message)) = backlog.held().next() {
            self.readiness.down(self.duty.condition(), format!("no {} can be stored: {message}", kind.name()));
            self.is_down = true;
        } else if self.is_down && self.outage.is_empty() {
            self.is_down = false;
            info!(self.log, "postgresql takes writes again");
            self.readiness.up(self.duty.condition());
        }
    }
}

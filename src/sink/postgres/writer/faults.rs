//! What PostgreSQL does not take, in the log (once until it does again) and in `/ready`.

use std::sync::Arc;

use slog::{Logger, error, info, warn};

use super::backlog::Backlog;
use crate::postgres::classify::{Meaning, ServerError};
use crate::runtime::log_once::LogOnce;
use crate::runtime::readiness::Readiness;
use crate::sink::postgres::duty::Duty;
use crate::sink::postgres::kinds::Kind;

/// Failures of one outage that are logged: servers word them in a handful of ways.
const MAX_LOGGED: usize = 16;

/// Faults since the last success.
pub(super) struct Faults {
    log: Logger,
    readiness: Arc<Readiness>,
    duty: Duty,
    /// Words about an outage, each logged once.
    logged: LogOnce,
    /// It lasts.
    has_outage: bool,
    is_down: bool,
    has_note: bool,
    /// Down since before this writer began, which has met nothing itself.
    is_inherited: bool,
}

impl Faults {
    /// No fault yet, but for what the generation before has left in `/ready`: an outage outlives the actors that met it.
    pub(super) fn new(log: Logger, readiness: Arc<Readiness>, duty: Duty) -> Self {
        let is_down = !readiness.holds(duty.condition());
        // A message is of deliveries that this writer does not have.
        readiness.clear_message(duty.subject());
        Self {
            log,
            readiness,
            duty,
            logged: LogOnce::new(MAX_LOGGED),
            has_outage: false,
            is_down,
            has_note: false,
            is_inherited: is_down,
        }
    }

    /// Whether `/ready` shows what the generation before has met, and this writer knows no better.
    pub(super) const fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    /// PostgreSQL answers: what the generation before has met is over, as far as it can be known without a message.
    pub(super) fn answered(&mut self, backlog: &Backlog) {
        if std::mem::take(&mut self.is_inherited) {
            self.show(backlog);
        }
    }

    /// PostgreSQL takes no write.
    pub(super) fn outage(&mut self, words: &str) {
        if self.logged.is_new(words) {
            warn!(self.log, "postgresql does not take writes, holding"; "error" => words);
        }
        self.has_outage = true;
        self.readiness.down(self.duty.condition(), words);
        (self.is_down, self.is_inherited) = (true, false);
    }

    /// PostgreSQL takes nothing of a kind.
    pub(super) fn held(&self, kind: Kind, answer: &ServerError) {
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
    pub(super) fn suspected(&self, kind: Kind, answer: &ServerError) {
        if !self.has_note {
            warn!(self.log, "postgresql does not take some deliveries now, they wait behind the others";
                "what" => kind.name(), "error" => &answer.message);
        }
    }

    /// Something was stored.
    pub(super) fn stored(&mut self, backlog: &Backlog) {
        self.logged.reset();
        self.has_outage = false;
        self.is_inherited = false;
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
            (self.is_down, self.is_inherited) = (true, false);
        } else if self.is_down && !self.has_outage && !self.is_inherited {
            self.is_down = false;
            info!(self.log, "postgresql takes writes again");
            self.readiness.up(self.duty.condition());
        }
    }
}

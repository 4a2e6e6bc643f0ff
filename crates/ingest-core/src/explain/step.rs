//! A step: one thing that happened, or that holds now.

use crate::message::timestamp::to_text;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The stream.
    Stream,
    /// The consumer.
    Consumer,
    /// PostgreSQL: rows, quarantine, counters, states.
    Postgres,
    /// The outbox, in PostgreSQL.
    Outbox,
    /// The registry, in PostgreSQL.
    Registry,
    /// The pipeline's checks, of now.
    Checks,
}

impl Source {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Stream => "stream",
            Source::Consumer => "consumer",
            Source::Postgres => "postgresql",
            Source::Outbox => "outbox",
            Source::Registry => "registry",
            Source::Checks => "checks",
        }
    }
}

/// One thing that happened, or that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, Unix microseconds; `None`: now.
    pub at_us: Option<i64>,
    /// Who says it.
    pub source: Source,
    /// What, for people.
    pub text: String,
}

impl Step {
    /// Its time as text, `now` where it has none.
    pub fn when(&self) -> String {
        self.at_us.map_or_else(|| "now".to_owned(), to_text)
    }
}

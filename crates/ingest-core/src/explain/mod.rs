//! Explanations: what became of a message, from facts that others have gathered.
//!
//! [`Facts`] are what the stream, PostgreSQL and the registry say. From them come the [`Fate`], the dated [`Step`]s and one sentence;
//! [`recheck()`] says what the pipeline's own checks would make of the message now.

mod facts;
mod fate;
mod recheck;
mod step;
mod steps;
mod summary;
#[cfg(test)]
mod tests;

pub use self::facts::broker::{Consumer, ConsumerFacts, Message, MessageFacts, Stream, StreamFacts};
pub use self::facts::device::{Device, DeviceFacts, Prospect};
pub use self::facts::gaps::Gaps;
pub use self::facts::stored::{Backfill, Command, Counted, Entry, Event, Reprocessing, Row, Shadow};
pub use self::facts::{Facts, Points, Question, Unknown};
pub use self::fate::Fate;
pub use self::recheck::{Claim, claim, recheck};
pub use self::step::{Source, Step};
pub use self::steps::steps;
pub use self::summary::summary;

//! Explanations: what became of a message, from facts that others have gathered.
//!
//! [`Facts`] are what the stream, PostgreSQL and the registry say. From them come the [`Fate`], the dated [`Step`]s and one sentence;
//! [`judge()`] says what the pipeline's own checks would make of the message now.

mod facts;
mod fate;
mod judge;
mod sentence;
mod step;
mod steps;
#[cfg(test)]
mod tests;

pub use self::facts::broker::{Consumer, ConsumerFacts, Message, MessageFacts, Stream, StreamFacts};
pub use self::facts::device::{Device, DeviceFacts, Prospect};
pub use self::facts::stored::{Backfill, Command, Counted, Entry, Event, Reprocessing, Row, Shadow};
pub use self::facts::{Facts, Points, Question, Unknown};
pub use self::fate::Fate;
pub use self::judge::{Claim, claim, judge};
pub use self::sentence::sentence;
pub use self::step::{Source, Step};
pub use self::steps::steps;

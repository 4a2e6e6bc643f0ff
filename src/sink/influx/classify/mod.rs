//! The only place that reads InfluxDB's answers.
//!
//! Status codes alone do not tell what may pass from what never will (a partial success is a 400 too, limits are 422 or
//! 400), and error bodies come without a content type, sometimes as plain text. So the rule is: data is given up only on
//! an answer that names the line, or to a single line; everything that is not understood keeps the data and asks for an
//! operator.

mod outcome;
#[cfg(test)]
mod tests;
mod v2;
mod v3;

pub(crate) use self::outcome::{Cause, FailureKind, Provisioned, RefusedLine, WriteOutcome};
use self::outcome::{SCHEMA_LIMIT, cause, no_capacity_for_database, said};
pub(super) use self::outcome::{classify, database_made, is_header_malformed, without_quotes};

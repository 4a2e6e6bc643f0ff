//! Payloads of the telemetry lane: the fields, read by the table of accepted forms, and the text of the row.

mod members;
mod report;
mod row_text;
mod scalar;
#[cfg(test)]
mod tests;

pub use self::report::{Report, TenantClaim};
pub(crate) use self::scalar::integral;
pub use self::scalar::of;

//! A tenant's message routes: which messages they match and the jobs they make.

mod definition;
mod job;
mod matched;
#[cfg(test)]
mod tests;

pub use self::definition::{BadRoute, Route, Row};
pub use self::job::JobMessage;
pub use self::matched::{Matched, TenantRoutes};

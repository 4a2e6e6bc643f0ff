//! Message routes of a tenant: filters, matches and jobs.

pub mod payload_filter;
pub mod route;
pub mod topic_filter;

//! The registry that the simulated devices need: written by SQL, or by way of the provisioning API.

pub(super) mod api;
pub(super) mod sql;

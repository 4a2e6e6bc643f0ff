//! Provisioning: what a registered device may be called, what its secrets look like, and which admin keys are good enough.

pub mod admin_key;
pub mod credentials;
pub mod fields;

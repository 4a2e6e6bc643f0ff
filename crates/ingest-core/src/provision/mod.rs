//! Provisioning: what a registered device may be called, what its secrets look like, which admin keys are good enough, and
//! the sessions of who has shown one.

pub mod admin_key;
pub mod credentials;
pub mod fields;
pub mod sessions;

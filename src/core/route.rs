//! A tenant's message routes: which messages they match and the jobs they make.

use super::event::{Event, Job};

/// An enabled route of a tenant.
#[derive(Clone, Debug)]
pub struct Route {}

/// The jobs that an event triggers.
pub fn jobs(_routes: &[Route], _event: &Event) -> Vec<Job> {
    Vec::new()
}

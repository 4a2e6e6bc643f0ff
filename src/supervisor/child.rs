//! A child as the supervisor sees it: a factory that builds it, its thread, and what is watched while it lives.

use actix::Recipient;

use super::watch::Watch;
use crate::message::{Drain, Release};
use crate::runtime::spawn::SpawnContext;

/// The addresses of the children that are built so far: each factory takes what it needs and leaves what others need.
pub(crate) trait Wiring: Default + 'static {
    /// Who holds deliveries and can give them back to the broker.
    fn holders(&self) -> Vec<Recipient<Release>>;
}

/// Builds one child of a generation; the answer takes its drain.
pub(crate) type Build<W> = Box<dyn Fn(&mut W, SpawnContext) -> Result<Recipient<Drain>, String>>;

/// An entry of the list of children.
pub(crate) struct Factory<W> {
    /// The role; also the `actor` label of its restarts.
    pub name: &'static str,
    /// The value of the log key `component`.
    pub component: &'static str,
    /// Children of the same thread name share a thread.
    pub thread: String,
    /// Builds the child.
    pub build: Build<W>,
}

/// A living child.
pub(super) struct Child {
    pub name: &'static str,
    pub thread: String,
    pub watch: Watch,
    pub drain: Recipient<Drain>,
}

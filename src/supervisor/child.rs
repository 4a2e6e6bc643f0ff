//! Children of the supervisor: the factory that builds one, and the handle of a running one.

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;

use actix::Recipient;
use thiserror::Error;

use super::stall::StallDetector;
use crate::message::{Drain, Release};
use crate::runtime::spawn::SpawnContext;

/// The addresses of the children built so far: each factory takes what it needs and adds its own.
pub(crate) trait Wiring: Default + 'static {
    /// The actors that hold deliveries and can release them to the broker.
    fn holders(&self) -> Vec<Recipient<Release>>;
}

/// Why a child can't be built.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    /// It needs the address of this one.
    #[error("{0} must be built earlier in the list")]
    Order(&'static str),
    /// Its settings can't be used.
    #[error("{0}")]
    Settings(Box<dyn Error + Send + Sync>),
}

/// An address that must be there by now.
///
/// # Errors
/// Where the list of factories is in the wrong order.
pub(crate) fn need<T: Clone>(address: &Option<T>, name: &'static str) -> Result<T, BuildError> {
    address.clone().ok_or(BuildError::Order(name))
}

/// Builds one child of a generation and returns the recipient of its drain.
pub(crate) type Build<W> = Box<dyn Fn(&mut W, SpawnContext) -> Result<Recipient<Drain>, BuildError>>;

/// An entry in the list of children.
pub(crate) struct Factory<W> {
    /// The role; also the `actor` label of its restarts.
    pub name: &'static str,
    /// Its own name: the role where there is one of it.
    pub instance: Arc<str>,
    /// The value of the log key `component`.
    pub component: &'static str,
    /// Children of the same thread name share a thread.
    pub thread: String,
    /// Builds the child.
    pub build: Build<W>,
}

impl<W> Factory<W> {
    /// The factory of a role.
    pub(crate) fn new(
        name: &'static str,
        component: &'static str,
        thread: &str,
        build: impl Fn(&mut W, SpawnContext) -> Result<Recipient<Drain>, BuildError> + 'static,
    ) -> Self {
        Self { name, instance: name.into(), component, thread: thread.to_owned(), build: Box::new(build) }
    }

    /// One of several of its role, told apart by this: a number, a consumer.
    pub(crate) fn told_apart_by(self, what: impl Display) -> Self {
        Self { instance: format!("{}-{what}", self.name).into(), ..self }
    }
}

/// A running child.
pub(super) struct Child {
    pub name: &'static str,
    pub instance: Arc<str>,
    pub thread: String,
    pub stall: StallDetector,
    pub drain: Recipient<Drain>,
}

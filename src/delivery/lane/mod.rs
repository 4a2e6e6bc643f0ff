//! The lanes: what each of them is, and which of them a node runs.

mod handle;
mod lanes;
mod spec;

pub use self::handle::Lane;
pub use self::lanes::Lanes;
pub(crate) use self::spec::{Opening, Owner, RunWhen};

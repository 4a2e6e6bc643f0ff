//! The console: one page without a build step, and the log-in in front of it.

mod files;

pub(crate) use self::files::log_in_page;
pub(super) use self::files::{ASSETS, Asset, answer, page};

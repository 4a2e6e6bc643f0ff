//! The settings: declared once, read from defaults, a file and the environment, shown with their sources.

mod advice;
mod diagnostics;
mod env;
mod file;
mod forms;
mod layered;
mod load;
mod nearest;
#[cfg(test)]
mod reference;
mod rules;
mod settings;
mod show;
mod source;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod url;
mod variables;

pub(crate) use self::diagnostics::ConfigErrors;
pub(crate) use self::env::Env;
pub(crate) use self::load::{Gathered, Loaded};
pub(crate) use self::show::Selection;
pub(crate) use self::tables::Config;

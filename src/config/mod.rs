//! The settings: declared once, read from defaults, a file and the environment, shown with their sources.

mod error;
mod layered;
mod load;
#[cfg(test)]
mod reference;
mod settings;
mod show;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod url;

pub(crate) use self::error::ConfigError;
pub(crate) use self::load::Loaded;
pub(crate) use self::tables::Config;
pub(crate) use crate::config::layered::Env;

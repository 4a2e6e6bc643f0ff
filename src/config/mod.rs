//! The settings: declared once, read from defaults, a file and the environment, shown with their sources.

mod draft;
mod error;
mod load;
#[cfg(test)]
mod reference;
mod setting;
mod settings;
mod show;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod url;

pub use self::draft::{DEFAULT_PATH, Env, Source};
pub use self::error::ConfigError;
pub use self::load::Loaded;
pub use self::setting::{Form, Setting};
pub use self::settings::SETTINGS;
pub use self::tables::Config;

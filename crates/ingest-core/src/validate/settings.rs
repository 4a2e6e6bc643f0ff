//! Run-time settings of `app_settings`: applied while the node runs; an invalid value leaves the previous one.

use crate::flow::rate_limit::Limit;
use crate::reprocess::proof;

/// The platform's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In production rejected messages never reach `raw_events`.
    Prod,
    /// For development.
    Dev,
}

impl Mode {
    /// Its word in `app_settings`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Prod => "PROD",
            Mode::Dev => "DEV",
        }
    }
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `MODE`.
    pub mode: Mode,
    /// `STORE_REJECTS`: rejected messages are stored as quarantine events.
    pub store_rejects: bool,
    /// `MIRROR_REJECTS_TO_RAW` as set; see [`Settings::mirrors_rejects`].
    pub mirror_rejects_to_raw: bool,
    /// `MAX_PAYLOAD_BYTES`.
    pub max_payload_bytes: usize,
    /// `RATE_LIMIT_RPS` and `RATE_LIMIT_BURST`, per device.
    pub limit: Limit,
    /// The key that signs reprocessed messages; no row of `app_settings`. Without it no message counts as reprocessed.
    pub replay_key: Option<proof::Key>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Prod,
            store_rejects: true,
            mirror_rejects_to_raw: false,
            max_payload_bytes: 8192,
            limit: Limit { rps: 5.0, burst: 20.0 },
            replay_key: None,
        }
    }
}

/// A value that was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Its key.
    pub key: String,
    /// The value as found.
    pub value: String,
    /// What would have been accepted.
    pub accepted: &'static str,
}

impl Settings {
    /// Whether rejected messages are also written to `raw_events`: in DEV only, whatever is set.
    pub fn mirrors_rejects(&self) -> bool {
        self.mode == Mode::Dev && self.mirror_rejects_to_raw
    }

    /// These settings changed by the rows of `app_settings`. Unknown keys belong to other services.
    pub fn apply<'a>(&self, rows: impl Iterator<Item = (&'a str, &'a str)>) -> (Settings, Vec<InvalidSetting>) {
        let (mut settings, mut invalid) = (self.clone(), Vec::new());
        for (key, value) in rows {
            if let Err(accepted) = settings.set(key, value.trim()) {
                invalid.push(InvalidSetting { key: key.to_owned(), value: value.to_owned(), accepted });
            }
        }
        (settings, invalid)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "MODE" => {
                self.mode = match value.to_ascii_uppercase().as_str() {
                    "PROD" => Mode::Prod,
                    "DEV" => Mode::Dev,
                    _ => return Err("PROD or DEV"),
                }
            }
            "STORE_REJECTS" => self.store_rejects = flag(value)?,
            "MIRROR_REJECTS_TO_RAW" => self.mirror_rejects_to_raw = flag(value)?,
            "MAX_PAYLOAD_BYTES" => {
                self.max_payload_bytes =
                    value.parse().ok().filter(|bytes| *bytes > 0).ok_or("a whole number of bytes, at least 1")?;
            }
            "RATE_LIMIT_RPS" => self.limit.rps = number(value, 0.0).ok_or("a number, 0 or more")?,
            "RATE_LIMIT_BURST" => self.limit.burst = number(value, 1.0).ok_or("a number, 1 or more")?,
            _ => {}
        }
        Ok(())
    }

    /// The rows that a migration seeds where they are missing.
    pub const fn seed() -> [(&'static str, &'static str); 6] {
        [
            ("MODE", "PROD"),
            ("STORE_REJECTS", "1"),
            ("MIRROR_REJECTS_TO_RAW", "0"),
            ("MAX_PAYLOAD_BYTES", "8192"),
            ("RATE_LIMIT_RPS", "5"),
            ("RATE_LIMIT_BURST", "20"),
        ]
    }
}

fn flag(value: &str) -> Result<bool, &'static str> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err("0 or 1"),
    }
}

fn number(value: &str, least: f64) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_the_default() {
        let (seeded, invalid) = Settings::default().apply(Settings::seed().into_iter());
        assert_eq!((seeded, invalid), (Settings::default(), vec![]));
    }

    #[test]
    fn a_bad_value_keeps_the_previous_one_and_is_reported() {
        let (before, _) = Settings::default().apply([("MAX_PAYLOAD_BYTES", "300")].into_iter());
        let bad = [("MODE", "x"), ("STORE_REJECTS", "yes"), ("MAX_PAYLOAD_BYTES", "0"), ("RATE_LIMIT_RPS", "NaN")];
        let (after, invalid) = before.apply(bad.into_iter());
        assert_eq!(after, before);
        assert_eq!(invalid.iter().map(|invalid| invalid.key.as_str()).collect::<Vec<_>>(), bad.map(|(key, _)| key));
    }

    #[test]
    fn rejects_are_mirrored_in_dev_only() {
        let mirrored = |mode| {
            let rows = [("MODE", mode), ("MIRROR_REJECTS_TO_RAW", "1"), ("UNKNOWN", "?")];
            Settings::default().apply(rows.into_iter()).0.mirrors_rejects()
        };
        assert!(mirrored("DEV"));
        assert!(!mirrored("PROD"));
    }
}

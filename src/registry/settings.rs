//! The run-time settings: read again and again, told when they change, and the old ones stay while there are no others.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use deadpool_postgres::Pool;
use slog::{info, warn};

use super::error::RegistryError;
use super::query::{ask, bounded, read, replay_key};
use super::writable::{self, Access};
use super::{Parts, Registry};
use crate::message::SettingsChanged;
use ingest_core::reprocess::proof;
use ingest_core::validate::settings::{InvalidSetting, Settings};

/// What the remark in `/ready` is about.
const SUBJECT: &str = "app_settings";

/// Between two reads.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of the settings.
#[derive(Debug, Default)]
pub(super) struct SettingsBook {
    /// In force; `None` before they have been read.
    pub in_force: Option<Arc<Settings>>,
    refused: Vec<InvalidSetting>,
    /// Why they could not be read the last time.
    fault: Option<RegistryError>,
    is_reading: bool,
    /// They may have changed since that read began.
    is_due: bool,
}

/// What was read.
pub(super) struct SettingsRead {
    /// The rows that are ours.
    pub rows: Vec<(String, String)>,
    /// What signs replays; `None` where it can't be read.
    pub replay_key: Option<Option<proof::Key>>,
    /// What the session may do; `None` where it can't be read.
    pub access: Option<Access>,
}

/// The rows of `app_settings` that are ours, whatever their columns' types; a value that is too long is none.
///
/// # Errors
/// Where the database is at fault.
pub(super) async fn settings(pool: &Pool) -> Result<SettingsRead, RegistryError> {
    const SQL: &str = "SELECT key::text, left(value::text, 256) FROM app_settings \
                       WHERE value IS NOT NULL AND key::text = ANY($1)";
    let ours: Vec<&str> = Settings::seed().iter().map(|(key, _)| *key).collect();
    ask(pool, async |client| {
        let rows = read(client, SQL, &[&ours]).await?;
        let row = |row: &tokio_postgres::Row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?));
        let key = bounded(replay_key(client)).await;
        let access = writable::access(client).await.ok();
        Ok(SettingsRead { rows: rows.iter().filter_map(row).collect(), replay_key: key.ok(), access })
    })
    .await
}

impl Registry {
    /// Reads them; once more where they may have changed meanwhile, however often: anybody may notify, and each read is a connection's.
    pub(super) fn read_settings(&mut self, ctx: &mut Context<Self>) {
        if self.settings.is_reading {
            self.settings.is_due = true;
            return;
        }
        self.settings.is_reading = true;
        let pool = self.parts.pool.clone();
        let read = async move { settings(&pool).await };
        ctx.spawn(read.into_actor(self).map(|read, registry, ctx| {
            registry.settings_read(read);
            ctx.run_later(PAUSE, |registry, ctx| {
                registry.settings.is_reading = false;
                if std::mem::take(&mut registry.settings.is_due) {
                    registry.read_settings(ctx);
                }
            });
        }));
    }

    fn settings_read(&mut self, read: Result<SettingsRead, RegistryError>) {
        match read {
            Ok(read) => {
                self.settings_are_readable();
                // Before anything is up: a node that starts on a standby is not ready for a moment.
                if let Some(access) = read.access {
                    let Parts { pool, spawn, .. } = &self.parts;
                    writable::show(access, pool, &spawn.readiness, &spawn.log);
                }
                self.availability.connected();
                self.conclude();
                self.apply_settings(read);
            }
            Err(fault) => self.settings_are_unreadable(fault),
        }
    }

    fn settings_are_readable(&mut self) {
        if self.settings.fault.take().is_some() {
            info!(self.parts.spawn.log, "settings can be read again");
            self.parts.spawn.readiness.clear_message(SUBJECT);
        }
    }

    /// The old ones stay. Without any, no message can be validated.
    fn settings_are_unreadable(&mut self, fault: RegistryError) {
        if self.settings.in_force.is_none() || fault.is_of_the_connection() {
            self.availability.disconnected(&fault);
            self.conclude();
        }
        if self.settings.fault.as_ref() != Some(&fault) {
            warn!(self.parts.spawn.log, "settings can't be read; the previous ones stay"; "error" => %fault);
            self.parts.spawn.readiness.set_message(SUBJECT, format!("can't be read: {fault}"));
        }
        self.settings.fault = Some(fault);
    }

    fn apply_settings(&mut self, SettingsRead { rows, replay_key, .. }: SettingsRead) {
        let before = self.settings.in_force.clone().unwrap_or_default();
        let (mut settings, refused) = before.apply(rows.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        if let Some(replay_key) = replay_key {
            settings.replay_key = replay_key;
        }
        for bad in refused.iter().filter(|bad| !self.settings.refused.contains(bad)) {
            warn!(self.parts.spawn.log, "setting refused; the previous value stays";
                "key" => &bad.key, "value" => &bad.value, "accepted" => bad.accepted);
        }
        self.settings.refused = refused;
        if self.settings.in_force.as_deref() == Some(&settings) {
            return;
        }
        info!(self.parts.spawn.log, "settings in force";
            "mode" => settings.mode.as_str(), "store_rejects" => settings.store_rejects,
            "mirror_rejects_to_raw" => settings.mirrors_rejects(), "max_payload_bytes" => settings.max_payload_bytes,
            "rate_limit_rps" => settings.limit.rps, "rate_limit_burst" => settings.limit.burst,
            "can_replay" => settings.replay_key.is_some());
        let settings = Arc::new(settings);
        self.settings.in_force = Some(settings.clone());
        let subscribed = self.subscribers.iter().map(|subscriber| &subscriber.settings);
        for reader in subscribed.chain(&self.parts.settings_readers) {
            reader.do_send(SettingsChanged(settings.clone()));
        }
    }
}

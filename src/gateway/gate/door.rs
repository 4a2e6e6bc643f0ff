//! The door: decides a message where it arrives, by the pipeline's own checks.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::Recipient;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::known::Known;
use super::not_admitted::{NotAdmitted, Unavailable};
use super::question::{Ask, Waiter};
use crate::delivery::Lane;
use crate::metrics::Metrics;
use crate::registry::devices::Ages;
use crate::runtime::panics;
use ingest_core::message::device::{Device, DeviceKey, DeviceRef, Lookup};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Reason;
use ingest_core::message::topic::Topic;
use ingest_core::validate::event::CommandAck;
use ingest_core::validate::settings::Settings;
use ingest_core::validate::{self, Context, Policy, Validated};

/// How a door decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoorParts {
    /// The operator's decisions about authentication.
    pub policy: Policy,
    /// Unknown devices pass: the pipeline registers them.
    pub auto_provision: bool,
    /// Devices held in memory.
    pub capacity: usize,
    /// How long answers are good for.
    pub ages: Ages,
    /// Most messages that wait for an answer of the registry at once.
    pub max_lookups: usize,
    /// How long one waits.
    pub lookup_bound: Duration,
}

/// Decides messages. Cloning shares what is known.
#[derive(Clone)]
pub(crate) struct Door {
    parts: DoorParts,
    known: Arc<Known>,
    gate: Recipient<Ask>,
    lookups: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// A message of the telemetry lane that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// Its sequence number; 0 where it has none.
    pub seq: i64,
}

/// The time, in Unix microseconds.
pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

impl Door {
    pub(super) fn new(parts: DoorParts, known: Arc<Known>, gate: Recipient<Ask>, metrics: Arc<Metrics>) -> Self {
        Self { lookups: Arc::new(Semaphore::new(parts.max_lookups)), parts, known, gate, metrics }
    }

    /// The settings in force; `None` before they have been read.
    pub(crate) fn settings(&self) -> Option<Arc<Settings>> {
        self.known.settings()
    }

    /// The settings in force; the first ones are waited for.
    async fn settings_in_force(&self) -> Result<Arc<Settings>, Unavailable> {
        if let Some(settings) = self.known.settings() {
            return Ok(settings);
        }
        let _permit = self.lookups.try_acquire().map_err(|_| Unavailable::TooManyLookups)?;
        let settings = timeout(self.parts.lookup_bound, self.known.first_settings()).await;
        settings.ok().flatten().ok_or(Unavailable::Registry)
    }

    /// Decides a message of the telemetry lane.
    ///
    /// # Errors
    /// It does not pass, or can't be decided now.
    pub(crate) async fn telemetry(&self, envelope: &Envelope) -> Result<Entered, NotAdmitted> {
        let entered = self.decide(Lane::TELEMETRY, envelope, |context, lookup, admit| {
            validate::check_telemetry(envelope, context, |_| lookup, admit, |passed| Entered { seq: passed.report.seq })
        });
        match entered.await {
            Err(NotAdmitted::Rejected(rejection))
                if rejection.reason == Reason::UnregisteredDevice
                    && rejection.detail.is_empty()
                    && self.parts.auto_provision =>
            {
                let seq = panics::or_default(|| validate::claimed_seq(envelope)).unwrap_or_default();
                Ok(Entered { seq })
            }
            entered => entered,
        }
    }

    /// Decides a shadow report; returns its version.
    ///
    /// # Errors
    /// It does not pass, or can't be decided now.
    pub(crate) async fn shadow(&self, envelope: &Envelope) -> Result<i64, NotAdmitted> {
        let decided = self.decide(Lane::SHADOW, envelope, |context, lookup, admit| {
            validate::shadow(envelope, context, |_| lookup, admit)
        });
        Ok(decided.await?.version)
    }

    /// Decides an acknowledgement of a command.
    ///
    /// # Errors
    /// It does not pass, or can't be decided now.
    pub(crate) async fn command(&self, envelope: &Envelope) -> Result<CommandAck, NotAdmitted> {
        self.decide(Lane::COMMANDS, envelope, |context, lookup, admit| {
            validate::command(envelope, context, |_| lookup, admit)
        })
        .await
    }

    /// What is registered of a device; `None` where it is not.
    ///
    /// # Errors
    /// Nothing is known of it now.
    pub(crate) async fn device(&self, device: DeviceRef<'_>) -> Result<Option<Arc<Device>>, Unavailable> {
        let lookup = match self.known.lookup(device) {
            Some(lookup) => lookup,
            None => self.resolve(device).await?,
        };
        Ok(match lookup {
            Lookup::Found(device) => Some(device),
            Lookup::Unknown | Lookup::NoCapacity | Lookup::Invalid(_) => None,
        })
    }

    /// Whether a message of the telemetry lane can be decided without asking the registry.
    pub(crate) fn knows(&self, envelope: &Envelope) -> bool {
        self.known.settings().is_some()
            && Topic::parse(&envelope.topic).is_none_or(|topic| {
                self.known.lookup(DeviceRef { tenant_id: topic.tenant, device_id: topic.device }).is_some()
            })
    }

    /// Runs the checks with what is known of the device, and once more with what the registry answers where nothing is.
    async fn decide<T>(
        &self,
        lane: Lane,
        envelope: &Envelope,
        check: impl Fn(Context<'_>, Option<&Lookup>, &dyn Fn(&DeviceKey) -> bool) -> Validated<T>,
    ) -> Result<T, NotAdmitted> {
        let settings = self.settings_in_force().await?;
        let received_us = now_us();
        let context =
            Context { settings: &settings, policy: self.parts.policy, subject: None, received_us, trusted: false };
        let admit = |device: &DeviceKey| self.known.admit(lane, device, received_us, &settings.limit);
        let checked = |lookup: Option<&Lookup>| panics::validate_catching_panics(|| check(context, lookup, &admit));

        let device =
            Topic::parse(&envelope.topic).map(|topic| DeviceRef { tenant_id: topic.tenant, device_id: topic.device });
        let known = device.and_then(|device| self.known.lookup(device));
        let count = match known {
            Some(_) => &self.metrics.registry.cache_hits,
            None => &self.metrics.registry.cache_misses,
        };
        count.inc();
        if let Some(passed) = checked(known.as_ref())? {
            return Ok(passed);
        }
        let Some(device) = device else { return Err(Unavailable::Registry.into()) };
        let lookup = self.resolve(device).await?;
        checked(Some(&lookup))?.ok_or(NotAdmitted::Unavailable(Unavailable::Registry))
    }

    /// Asks the registry about a device.
    async fn resolve(&self, device: DeviceRef<'_>) -> Result<Lookup, Unavailable> {
        if !self.known.is_reachable() {
            return Err(Unavailable::Registry);
        }
        let permit = self.lookups.clone().try_acquire_owned().map_err(|_| Unavailable::TooManyLookups)?;
        let (reply, answer) = oneshot::channel();
        self.gate.do_send(Ask { device: device.into(), waiter: Waiter { reply, _permit: permit } });
        match timeout(self.parts.lookup_bound, answer).await {
            Ok(Ok(lookup)) => Ok(lookup),
            // The registry can't be asked any more: what was too old a moment ago may serve now.
            Ok(Err(_)) => self.known.lookup(device).ok_or(Unavailable::Registry),
            Err(_) => Err(Unavailable::Registry),
        }
    }
}

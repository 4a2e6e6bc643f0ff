//! The registry's answer about one message: in hand, or in the cache.

use std::cell::Cell;

use super::chunk_metrics::Lookups;
use crate::message::Answer;
use crate::registry::devices::{DeviceCache, RegistryLink};
use ingest_core::message::device::{DeviceRef, Lookup};
use ingest_core::message::envelope::Envelope;
use ingest_core::message::rejection::Reason;
use ingest_core::message::topic::Topic;

/// Where a message's checks find the registry's answer.
///
/// A message that has waited for its answer is validated with it in hand, never by way of the cache: there may be no room for
/// the answer, and one that is there may have been outlived by a change.
pub(super) struct Inquiry<'a> {
    in_hand: Option<&'a Answer>,
    cache: &'a DeviceCache,
    now_ms: u64,
    link: RegistryLink,
    answer: Cell<Option<&'a Answer>>,
}

impl<'a> Inquiry<'a> {
    /// Of a message whose answer has come, where `in_hand` is one.
    pub(super) fn new(in_hand: Option<&'a Answer>, cache: &'a DeviceCache, now_ms: u64, link: RegistryLink) -> Self {
        Self { in_hand, cache, now_ms, link, answer: Cell::new(None) }
    }

    /// The device, as far as is known. `claims_a_site` says whether it could be provisioned.
    pub(super) fn lookup(
        &self,
        device: DeviceRef<'_>,
        claims_a_site: bool,
        lookups: &mut Lookups,
    ) -> Option<&'a Lookup> {
        let answer = match self.in_hand {
            Some(answer) => Some(answer),
            None => {
                let cached = self.cache.get(device, claims_a_site, self.now_ms, self.link);
                lookups.count(cached.is_some());
                cached
            }
        };
        self.answer.set(answer);
        answer.map(|answer| &answer.lookup)
    }

    /// The answer that the checks were given.
    pub(super) fn answer(&self) -> Option<&'a Answer> {
        self.answer.get()
    }

    /// Whether a refused message is of a tenant without any registered device; `None` where that must be asked first.
    ///
    /// What is refused before the registry is asked needs its answer all the same: made-up tenants share one count and one
    /// cap, whatever is wrong with their messages.
    pub(super) fn is_of_stranger(&self, envelope: &Envelope, reason: Reason, lookups: &mut Lookups) -> Option<bool> {
        if reason.is_unattributed() {
            return Some(false);
        }
        let Some(topic) = Topic::parse(&envelope.topic) else { return Some(false) };
        if self.answer().is_none() {
            self.lookup(DeviceRef { tenant_id: topic.tenant, device_id: topic.device }, false, lookups);
        }
        self.answer().map(|answer| !answer.tenant_is_registered)
    }
}

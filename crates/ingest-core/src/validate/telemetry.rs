//! The checks of the telemetry lane, in their order, and the event of a message that passes all of them.

use std::borrow::Cow;
use std::sync::Arc;

use bytestring::ByteString;

use super::common;
use super::context::{Context, Validated, ValidationCounts};
use super::event::Event;
use crate::influx::line_protocol::Tags;
use crate::influx::point;
use crate::message::device::{Device, DeviceKey, DeviceRef, Lookup, Subscription, TokenHash};
use crate::message::digest::fnv1a;
use crate::message::envelope::Envelope;
use crate::message::metric::{self, Metric};
use crate::message::metric_keys::MetricKeyMap;
use crate::message::msg_type::MsgType;
use crate::message::payload::{self, Report, TenantClaim};
use crate::message::rejection::{Reason, Rejection};
use crate::message::topic::Topic;

/// A message that has passed checks 2 to 11.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// What its topic names.
    pub topic: &'a Topic<'a>,
    /// What it reports.
    pub report: &'a Report<'a>,
    /// Its device.
    pub device: &'a Arc<Device>,
}

/// The event of a message of the telemetry lane that passes checks 2 to 11. `lookup` answers from the cache; `admit` takes a
/// token from the device's bucket.
///
/// # Errors
/// The first check that the message does not pass.
pub fn telemetry<'l>(
    envelope: &Envelope,
    context: Context<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
    counts: &mut ValidationCounts,
) -> Validated<Event> {
    check_telemetry(envelope, context, lookup, admit, |passed| event(envelope, passed, context, counts))
}

/// Checks 2 to 11 of a message of the telemetry lane alone; `then` makes of it what the caller needs. `lookup` and `admit` as
/// for [`telemetry`].
///
/// # Errors
/// The first check that the message does not pass.
pub fn check_telemetry<'l, T>(
    envelope: &Envelope,
    context: Context<'_>,
    lookup: impl FnOnce(DeviceRef<'_>) -> Option<&'l Lookup>,
    admit: impl FnOnce(&DeviceKey) -> bool,
    then: impl FnOnce(Passed<'_>) -> T,
) -> Validated<T> {
    let topic = common::topic(envelope, context, |_| true)?;
    common::size(envelope, context)?;
    let text = payload::of(envelope)?;
    let report = Report::read(&text)?;
    if !matches!(&report.tenant, TenantClaim::None) && report.tenant != TenantClaim::Is(Cow::Borrowed(topic.tenant)) {
        return Err(Reason::TenantMismatch.into());
    }
    let Some(site) = report.site.as_deref() else { return Err(Reason::MissingSiteId.into()) };

    let Some(answer) = lookup(DeviceRef { tenant_id: topic.tenant, device_id: topic.device }) else { return Ok(None) };
    let device = match answer {
        Lookup::Found(device) => device,
        Lookup::Unknown => return Err(Reason::UnregisteredDevice.into()),
        Lookup::NoCapacity => return Err(Reason::NoSubscriptionCapacity.into()),
        Lookup::Invalid(why) => return Err(common::invalid_device(why)),
    };
    let authenticate = || authenticate(device, envelope, &report, context);
    let denied = match device.subscription {
        Subscription::Suspended => Some(Reason::SubscriptionSuspended),
        Subscription::Expired => Some(Reason::SubscriptionExpired),
        Subscription::Passes if !device.active => Some(Reason::DeviceRevoked),
        Subscription::Passes if device.site_id != site => Some(Reason::SiteMismatch),
        Subscription::Passes => None,
    };
    if let Some(reason) = denied {
        // Rejected in any case; the quarantine record holds whether the sender was the device, for reprocessing.
        return Err(Rejection::from(reason).authenticated(authenticate().is_ok()));
    }
    authenticate()?;
    if !admit(&device.key) {
        return Err(Rejection::from(Reason::RateLimited).authenticated(true));
    }
    metric::check(&report.metrics).map_err(|rejection| rejection.authenticated(true))?;
    Ok(Some(then(Passed { topic: &topic, report: &report, device })))
}

/// The sequence number that a message names, 0 where it names none; `None` where its payload can't be read.
pub fn claimed_seq(envelope: &Envelope) -> Option<i64> {
    let text = payload::of(envelope).ok()?;
    Some(Report::read(&text).ok()?.seq)
}

/// The site that a message names: where an unknown device is registered (auto-provisioning).
pub fn claimed_site(envelope: &Envelope) -> Option<String> {
    let text = payload::of(envelope).ok()?;
    Report::read(&text).ok()?.site.map(Cow::into_owned)
}

/// Check 9: a certificate that the broker verified, or the token, where the operator requires one.
fn authenticate(
    device: &Device,
    envelope: &Envelope,
    report: &Report<'_>,
    context: Context<'_>,
) -> Result<(), Rejection> {
    if context.trusted || !context.policy.require_token || has_certificate(device, &envelope.username, context) {
        return Ok(());
    }
    check_token(device.token_hash, report.token.as_deref())
}

/// Whether the broker authenticated this very device by a certificate that is valid.
fn has_certificate(device: &Device, common_name: &str, context: Context<'_>) -> bool {
    context.policy.cert_auth_enabled
        && common_name
            .split_once('/')
            .is_some_and(|(tenant, id)| tenant == &*device.key.tenant_id && id == &*device.key.device_id)
        && device.has_certificate_at(context.received_us)
}

fn check_token(expected: Option<TokenHash>, token: Option<&str>) -> Result<(), Rejection> {
    let Some(expected) = expected else { return Err(Reason::TokenNotSetInRegistry.into()) };
    let Some(token) = token else { return Err(Reason::TokenMissing.into()) };
    if expected.is(&TokenHash::of(token)) { Ok(()) } else { Err(Reason::TokenInvalid.into()) }
}

fn event(envelope: &Envelope, passed: Passed<'_>, context: Context<'_>, counts: &mut ValidationCounts) -> Event {
    let Passed { topic, report, device } = passed;
    let msg_type = match topic.msg_type {
        "telemetry" => MsgType::Telemetry,
        "heartbeat" => MsgType::Heartbeat,
        other => MsgType::Other(slice(&envelope.topic, other)),
    };
    let keys = Some(&device.metric_keys).filter(|keys| msg_type == MsgType::Telemetry && !keys.is_empty());
    let event_us = report.event_us.unwrap_or_else(|| {
        counts.timestamp_fallbacks += 1;
        context.received_us
    });
    let line = context.policy.points.and_then(|layout| {
        let tags = Tags {
            device_id: &device.key.device_id,
            site_id: &device.site_id,
            tenant_id: layout.tenant_tag(&device.key.tenant_id),
        };
        let (msg_type, metrics) = (&msg_type, &*report.metrics);
        let source = point::Source { msg_type, tags, seq: report.seq, event_us, metrics, keys };
        point::line(source, &mut counts.skipped)
    });
    Event {
        device: device.clone(),
        topic: envelope.topic.clone(),
        seq: report.seq,
        event_us,
        payload: report.row_text(keys).into(),
        line,
        location: report.location,
        metrics_signature: signature(&report.metrics, keys),
        routes: None,
        msg_type,
    }
}

fn slice(whole: &ByteString, part: &str) -> ByteString {
    whole.slice_ref(part)
}

/// A hash of the names: a collision costs no more than one late sensor value.
fn signature(metrics: &[Metric<'_>], keys: Option<&MetricKeyMap>) -> u64 {
    fnv1a(metrics.iter().flat_map(|metric| metric.mapped(keys).bytes().chain([0xFF])))
}

//! Checking a message again as of now: the pipeline's own checks, without any effect.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::facts::device::Prospect;
use crate::message::device::{DeviceKey, DeviceRef, Lookup};
use crate::message::envelope::Envelope;
use crate::message::payload;
use crate::message::rejection::{Reason, Rejection};
use crate::validate::{self, Checks, Context, ValidationCounts};

/// What a message of the lanes beside telemetry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A reported state of this version.
    Version(i64),
    /// This command.
    Command(String),
}

/// What the checks say of an opened message. `checks` are those of its lane and topic; `None`: the message is none of the node's.
/// `lookup` is what the registry answers; `provisions` whether it would register an unknown device. No rate limit is asked: that
/// depends on what else comes.
pub fn recheck(
    envelope: &Envelope,
    checks: Option<Checks>,
    context: Context<'_>,
    lookup: Option<&Lookup>,
    provisions: bool,
) -> Prospect {
    let Some(checks) = checks else { return Prospect::Ignored };
    match passes(envelope, checks, context, lookup) {
        Ok(Some(())) => Prospect::Passes,
        Ok(None) => Prospect::Unknown,
        Err(Rejection { reason: Reason::UnregisteredDevice, .. }) if provisions && checks == Checks::Telemetry => {
            Prospect::Provisions
        }
        Err(rejection) => Prospect::rejected(rejection),
    }
}

impl Prospect {
    /// Of a message that is rejected.
    pub fn rejected(Rejection { reason, detail, .. }: Rejection) -> Self {
        Prospect::Rejected { reason, detail: detail.into_owned() }
    }
}

fn passes(
    envelope: &Envelope,
    checks: Checks,
    context: Context<'_>,
    lookup: Option<&Lookup>,
) -> validate::Validated<()> {
    let look_up = |_: DeviceRef<'_>| lookup;
    let admit = |_: &DeviceKey| true;
    Ok(match checks {
        Checks::Telemetry => {
            validate::telemetry(envelope, context, look_up, admit, &mut ValidationCounts::default())?.map(drop)
        }
        Checks::Shadow => validate::shadow(envelope, context, look_up, admit)?.map(drop),
        Checks::Command => validate::command(envelope, context, look_up, admit)?.map(drop),
    })
}

/// What a message is about that must pass these checks; `None` for telemetry, and where it can't be read.
pub fn claim(envelope: &Envelope, checks: Checks) -> Option<Claim> {
    if checks == Checks::Telemetry {
        return None;
    }
    let text = payload::of(envelope).ok()?;
    let members: HashMap<String, &RawValue> = serde_json::from_str(&text).ok()?;
    let member = |name| members.get(name).map(|raw| raw.get());
    match checks {
        Checks::Command => serde_json::from_str(member("command_id")?).ok().map(Claim::Command),
        _ => match member("version") {
            None | Some("null") => Some(Claim::Version(0)),
            Some(raw) => payload::integral(raw).map(Claim::Version),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Policy;
    use crate::validate::settings::Settings;

    fn opened(kind: &str, payload: &str) -> Envelope {
        Envelope {
            topic: format!("tenant/acme/device/dev-1/{kind}").into(),
            payload: payload.to_owned().into(),
            ..Envelope::default()
        }
    }

    fn rechecked(kind: &str, payload: &str, lookup: Option<&Lookup>, provisions: bool) -> Prospect {
        let policy = Policy { require_token: true, cert_auth_enabled: false, points: None };
        let settings = Settings::default();
        let context = Context { settings: &settings, policy, subject: None, received_us: 0, trusted: false };
        let envelope = opened(kind, payload);
        recheck(&envelope, Checks::of_topic(&envelope.topic), context, lookup, provisions)
    }

    #[test]
    fn the_pipelines_checks_decide_in_their_order() {
        let rejected = |prospect| match prospect {
            Prospect::Rejected { reason, .. } => reason,
            other => panic!("{other:?}"),
        };
        let telemetry = r#"{"site_id":"lab-1"}"#;
        assert_eq!(rejected(rechecked("telemetry", "{}", Some(&Lookup::Unknown), true)), Reason::MissingSiteId);
        assert_eq!(
            rejected(rechecked("telemetry", telemetry, Some(&Lookup::Unknown), false)),
            Reason::UnregisteredDevice
        );
        assert_eq!(rechecked("telemetry", telemetry, Some(&Lookup::Unknown), true), Prospect::Provisions);
        assert_eq!(rechecked("telemetry", telemetry, None, false), Prospect::Unknown);
        // Only telemetry registers a device.
        let shadow = r#"{"reported":{}}"#;
        assert_eq!(
            rejected(rechecked("shadow/reported", shadow, Some(&Lookup::Unknown), true)),
            Reason::UnregisteredDevice
        );
        assert_eq!(rejected(rechecked("commands/7", "{}", Some(&Lookup::Unknown), true)), Reason::BadTopicFormat);
        assert_eq!(rechecked("commands", "{}", Some(&Lookup::Unknown), true), Prospect::Ignored);
    }

    #[test]
    fn a_claim_is_what_the_message_says_whoever_sent_it() {
        let shadow = |payload| claim(&opened("shadow/reported", payload), Checks::Shadow);
        assert_eq!(shadow(r#"{"reported":{},"version":4.0}"#), Some(Claim::Version(4)));
        assert_eq!(shadow("{}"), Some(Claim::Version(0)));
        assert_eq!(shadow(r#"{"version":"4"}"#), None);
        let ack = |payload| claim(&opened("commands/ack", payload), Checks::Command);
        assert_eq!(ack(r#"{"command_id":"c-1"}"#), Some(Claim::Command("c-1".to_owned())));
        assert_eq!((ack("{}"), ack("nonsense")), (None, None));
        assert_eq!(claim(&opened("telemetry", r#"{"version":1}"#), Checks::Telemetry), None);
    }
}

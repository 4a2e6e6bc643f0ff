//! The messages: pure, and the same for the same seed.

use std::fmt::Write;

use fastrand::Rng;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use ingest_core::message::names::subject_of_device;
use ingest_core::message::rejection::Reason;

/// ISO 8601 as the system's simulators send it, to the microsecond.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");

/// The registered devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fleet {
    /// How many send good messages.
    pub devices: u32,
    /// How many tenants they are spread over; not more than devices.
    pub tenants: u32,
}

/// One registered device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SimDevice {
    /// Its tenant.
    pub tenant_id: String,
    /// Its id.
    pub device_id: String,
    /// Its site.
    pub site_id: String,
    /// `ACTIVE` or `REVOKED`.
    pub status: &'static str,
    /// The status of its subscription: `ACTIVE`, `SUSPENDED` or `EXPIRED`.
    pub subscription: &'static str,
    /// Whether it has a provision token ([`SimDevice::token`]).
    pub has_token: bool,
}

impl SimDevice {
    /// Its provision token.
    pub(crate) fn token(&self) -> String {
        format!("tok-{}", self.device_id)
    }

    /// The id of its subscription.
    pub(crate) fn subscription_id(&self) -> String {
        format!("{}-{}", self.tenant_id, self.subscription.to_ascii_lowercase())
    }
}

impl Fleet {
    /// The device with this number, counted round the tenants.
    pub(crate) fn device(self, number: u32) -> SimDevice {
        SimDevice {
            tenant_id: format!("sim-{:03}", number % self.tenants),
            device_id: format!("dev-{number:06}"),
            site_id: format!("site-{}", number % 10),
            status: "ACTIVE",
            subscription: "ACTIVE",
            has_token: true,
        }
    }

    /// A device that exists to be refused; each is one of the first tenant's.
    fn invalid_device(self, bad: Bad) -> SimDevice {
        let device = self.device(0);
        match bad {
            Bad::Revoked => SimDevice { device_id: "dev-revoked".into(), status: "REVOKED", ..device },
            Bad::Suspended => SimDevice { device_id: "dev-suspended".into(), subscription: "SUSPENDED", ..device },
            Bad::Expired => SimDevice { device_id: "dev-expired".into(), subscription: "EXPIRED", ..device },
            Bad::TokenNotSet => SimDevice { device_id: "dev-without-token".into(), has_token: false, ..device },
            _ => device,
        }
    }

    /// All that the registry must hold.
    pub(crate) fn registered(self) -> impl Iterator<Item = SimDevice> {
        let invalid_devices = [Bad::Revoked, Bad::Suspended, Bad::Expired, Bad::TokenNotSet];
        (0..self.devices)
            .map(move |number| self.device(number))
            .chain(invalid_devices.map(move |bad| self.invalid_device(bad)))
    }
}

/// What the devices send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    /// Share of bad messages, 0 to 1.
    pub bad_share: f64,
    /// Share of heartbeats among the good messages, 0 to 1.
    pub heartbeat_share: f64,
    /// Of the random numbers.
    pub seed: u64,
    /// The first message's time, Unix microseconds.
    pub start_us: i64,
    /// Between two messages, microseconds.
    pub spacing_us: i64,
}

/// The ways to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is what its reason says
pub(crate) enum Bad {
    Json,
    Topic,
    TooLarge,
    SeqType,
    SiteType,
    MetricsType,
    Version,
    Tenant,
    NoSite,
    Unknown,
    Revoked,
    Suspended,
    Expired,
    Site,
    NoToken,
    WrongToken,
    TokenNotSet,
    ManyMetrics,
    LongKey,
    ControlKey,
}

impl Bad {
    /// Every way, in the order in which they come.
    pub(crate) const ALL: [Bad; 20] = [
        Bad::Json,
        Bad::Topic,
        Bad::TooLarge,
        Bad::SeqType,
        Bad::SiteType,
        Bad::MetricsType,
        Bad::Version,
        Bad::Tenant,
        Bad::NoSite,
        Bad::Unknown,
        Bad::Revoked,
        Bad::Suspended,
        Bad::Expired,
        Bad::Site,
        Bad::NoToken,
        Bad::WrongToken,
        Bad::TokenNotSet,
        Bad::ManyMetrics,
        Bad::LongKey,
        Bad::ControlKey,
    ];

    /// The reason that it must be refused with, under default settings.
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Bad::Json => Reason::BadEnvelope,
            Bad::Topic => Reason::BadTopicFormat,
            Bad::TooLarge => Reason::PayloadTooLarge,
            Bad::SeqType | Bad::SiteType | Bad::MetricsType => Reason::InvalidPayload,
            Bad::Version => Reason::UnsupportedEnvelopeVersion,
            Bad::Tenant => Reason::TenantMismatch,
            Bad::NoSite => Reason::MissingSiteId,
            Bad::Unknown => Reason::UnregisteredDevice,
            Bad::Revoked => Reason::DeviceRevoked,
            Bad::Suspended => Reason::SubscriptionSuspended,
            Bad::Expired => Reason::SubscriptionExpired,
            Bad::Site => Reason::SiteMismatch,
            Bad::NoToken => Reason::TokenMissing,
            Bad::WrongToken => Reason::TokenInvalid,
            Bad::TokenNotSet => Reason::TokenNotSetInRegistry,
            Bad::ManyMetrics => Reason::TooManyMetrics,
            Bad::LongKey => Reason::MetricKeyTooLong,
            Bad::ControlKey => Reason::MetricKeyInvalid,
        }
    }
}

/// One message, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Simulated {
    /// `telemetry.{tenant}.{device}`.
    pub subject: String,
    /// The envelope.
    pub body: String,
    /// How it must end: a row, or this reason.
    pub expected: Option<Reason>,
}

/// An endless stream of messages; the devices take turns.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    fleet: Fleet,
    mix: Mix,
    random: Rng,
    /// Messages made so far.
    made: u64,
    /// Bad ones among them.
    bad: usize,
}

impl Generator {
    /// The messages of this fleet in this mix, from the first one.
    pub(crate) fn new(fleet: Fleet, mix: Mix) -> Self {
        Self { fleet, mix, random: Rng::with_seed(mix.seed), made: 0, bad: 0 }
    }

    fn parts(&mut self) -> MessageParts {
        let devices = u64::from(self.fleet.devices);
        let device = self.fleet.device((self.made % devices) as u32);
        let heartbeat = self.random.f64() < self.mix.heartbeat_share;
        MessageParts {
            topic_root: "tenant",
            msg_type: if heartbeat { "heartbeat" } else { "telemetry" },
            event_us: self.mix.start_us.saturating_add((self.made as i64).saturating_mul(self.mix.spacing_us)),
            version: "1",
            payload_tenant: device.tenant_id.clone(),
            site: format!("\"{}\"", device.site_id),
            seq: (self.made / devices).to_string(),
            token: device.token(),
            metrics: if heartbeat { String::new() } else { self.metrics() },
            padding: 0,
            device,
        }
    }

    /// The five metrics of the system's own simulator.
    fn metrics(&mut self) -> String {
        let random = &mut self.random;
        let mut between = |low: f64, high: f64| low + random.f64() * (high - low);
        let (battery, temperature, snr) = (between(20.0, 100.0), between(15.0, 35.0), between(-5.0, 20.0));
        let rssi = between(-110.0, -60.0) as i64;
        format!(
            r#"{{"battery_pct":{battery:.1},"temp_c":{temperature:.1},"rssi_dbm":{rssi},"snr_db":{snr:.1},"uplink_ok":true}}"#
        )
    }

    fn corrupt(&mut self, bad: Bad) -> Simulated {
        let mut parts = self.parts();
        if parts.metrics.is_empty() {
            parts.msg_type = "telemetry";
            parts.metrics = self.metrics();
        }
        match bad {
            Bad::Json => {}
            Bad::Topic => parts.topic_root = "tenants",
            // Larger than the limit of any installation; still far below what the broker takes.
            Bad::TooLarge => parts.padding = 40_000,
            Bad::SeqType => parts.seq = r#""twelve""#.into(),
            Bad::SiteType => parts.site = "true".into(),
            Bad::MetricsType => parts.metrics = "[21.5]".into(),
            Bad::Version => parts.version = "2",
            Bad::Tenant => parts.payload_tenant.push_str("-other"),
            Bad::NoSite => parts.site = "null".into(),
            Bad::Unknown => parts.device.device_id = format!("stranger-{}", self.made),
            Bad::Site => parts.site = r#""elsewhere""#.into(),
            Bad::NoToken => parts.token.clear(),
            Bad::WrongToken => parts.token.push('x'),
            Bad::ManyMetrics => {
                let metrics: Vec<_> = (0..60).map(|number| format!(r#""m{number}":{number}"#)).collect();
                parts.metrics = format!("{{{}}}", metrics.join(","));
            }
            Bad::LongKey => parts.metrics = format!(r#"{{"{}":1}}"#, "k".repeat(129)),
            Bad::ControlKey => parts.metrics = r#"{"temp\u0007c":1}"#.into(),
            Bad::Revoked | Bad::Suspended | Bad::Expired | Bad::TokenNotSet => {
                parts.device = self.fleet.invalid_device(bad);
                parts.payload_tenant = parts.device.tenant_id.clone();
                parts.site = format!("\"{}\"", parts.device.site_id);
                parts.token = parts.device.token();
            }
        }
        let mut message = parts.finish(Some(bad.reason()));
        if bad == Bad::Json {
            message.body.truncate(message.body.len() / 2);
        }
        message
    }
}

impl Iterator for Generator {
    type Item = Simulated;

    fn next(&mut self) -> Option<Simulated> {
        let message = if self.random.f64() < self.mix.bad_share {
            let bad = Bad::ALL[self.bad % Bad::ALL.len()];
            self.bad += 1;
            self.corrupt(bad)
        } else {
            self.parts().finish(None)
        };
        self.made += 1;
        Some(message)
    }
}

/// A message before it is written down. `site`, `seq` and `metrics` are JSON; no token and no metrics are empty text.
struct MessageParts {
    topic_root: &'static str,
    device: SimDevice,
    msg_type: &'static str,
    event_us: i64,
    version: &'static str,
    payload_tenant: String,
    site: String,
    seq: String,
    token: String,
    metrics: String,
    padding: usize,
}

impl MessageParts {
    fn finish(&self, expected: Option<Reason>) -> Simulated {
        let MessageParts { topic_root, device, msg_type, version, payload_tenant, site, seq, token, metrics, .. } =
            self;
        let SimDevice { tenant_id, device_id, .. } = device;
        let mut body = String::with_capacity(768 + self.padding);
        let written = (|| {
            write!(
                body,
                r#"{{"topic":"{topic_root}/{tenant_id}/device/{device_id}/{msg_type}","tenant_id":"{tenant_id}","device_id":"{device_id}","msg_type":"{msg_type}","username":"","ts":{},"payload":{{"version":"{version}","ts":"{}","tenant_id":"{payload_tenant}","site_id":{site},"device_id":"{device_id}","msg_type":"{msg_type}","seq":{seq}"#,
                self.event_us / 1_000,
                timestamp(self.event_us),
            )?;
            if !token.is_empty() {
                write!(body, r#","provision_token":"{token}""#)?;
            }
            if !metrics.is_empty() {
                write!(body, r#","metrics":{metrics}"#)?;
            }
            if self.padding > 0 {
                write!(body, r#","padding":"{}""#, ".".repeat(self.padding))?;
            }
            body.write_str("}}")
        })();
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        Simulated { subject: subject_of_device("telemetry", tenant_id, device_id), body, expected }
    }
}

fn timestamp(us: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1_000)
        .ok()
        .and_then(|time| time.format(TIMESTAMP).ok())
        .unwrap_or_default()
}

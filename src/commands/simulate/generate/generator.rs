//! The messages: pure, and the same for the same seed.

use fastrand::Rng;

use super::bad::Bad;
use super::fleet::{Fleet, Tokens};
use super::message::Simulated;

/// What the devices send.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    /// Share of bad messages, 0 to 1.
    pub bad_share: f64,
    /// The kinds of bad messages, each in turn; at least one.
    pub bad_kinds: Vec<Bad>,
    /// Share of heartbeats among the good messages, 0 to 1.
    pub heartbeat_share: f64,
    /// Of the random numbers.
    pub seed: u64,
    /// The first message's time, Unix microseconds.
    pub start_us: i64,
    /// Between two messages, microseconds.
    pub spacing_us: i64,
}

/// An endless stream of messages; the devices take turns.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    fleet: Fleet,
    tokens: Tokens,
    mix: Mix,
    random: Rng,
    /// Messages made so far.
    made: u64,
    /// Bad ones among them.
    bad: usize,
}

impl Generator {
    /// The messages of this fleet in this mix, from the first one.
    pub(crate) fn new(fleet: Fleet, tokens: Tokens, mix: Mix) -> Self {
        Self { fleet, tokens, random: Rng::with_seed(mix.seed), mix, made: 0, bad: 0 }
    }

    fn good(&mut self) -> Simulated {
        let devices = u64::from(self.fleet.devices);
        let device = self.fleet.device((self.made % devices) as u32);
        let heartbeat = self.random.f64() < self.mix.heartbeat_share;
        Simulated {
            bad: None,
            topic_root: "tenant",
            msg_type: if heartbeat { "heartbeat" } else { "telemetry" },
            event_us: self.mix.start_us.saturating_add((self.made as i64).saturating_mul(self.mix.spacing_us)),
            version: "1",
            payload_tenant: device.tenant_id.clone(),
            site: format!("\"{}\"", device.site_id),
            seq: (self.made / devices).to_string(),
            token: self.tokens.of(&device),
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
        let mut message = self.good();
        message.bad = Some(bad);
        if message.metrics.is_empty() {
            message.msg_type = "telemetry";
            message.metrics = self.metrics();
        }
        match bad {
            Bad::Json => {}
            Bad::Topic => message.topic_root = "tenants",
            // Larger than the limit of any installation; still far below what the broker takes.
            Bad::TooLarge => message.padding = 40_000,
            Bad::SeqType => message.seq = r#""twelve""#.into(),
            Bad::SiteType => message.site = "true".into(),
            Bad::MetricsType => message.metrics = "[21.5]".into(),
            Bad::Version => message.version = "2",
            Bad::Tenant => message.payload_tenant.push_str("-other"),
            Bad::NoSite => message.site = "null".into(),
            Bad::Unknown => message.device.device_id = format!("stranger-{}", self.made),
            Bad::Site => message.site = r#""elsewhere""#.into(),
            Bad::NoToken => message.token.clear(),
            Bad::WrongToken => message.token.push('x'),
            Bad::ManyMetrics => {
                let metrics: Vec<_> = (0..60).map(|number| format!(r#""m{number}":{number}"#)).collect();
                message.metrics = format!("{{{}}}", metrics.join(","));
            }
            Bad::LongKey => message.metrics = format!(r#"{{"{}":1}}"#, "k".repeat(129)),
            Bad::ControlKey => message.metrics = r#"{"temp\u0007c":1}"#.into(),
            Bad::Revoked | Bad::Suspended | Bad::Expired | Bad::TokenNotSet => {
                message.device = self.fleet.invalid_device(bad);
                message.payload_tenant = message.device.tenant_id.clone();
                message.site = format!("\"{}\"", message.device.site_id);
                message.token = self.tokens.of(&message.device);
            }
        }
        message
    }
}

impl Iterator for Generator {
    type Item = Simulated;

    fn next(&mut self) -> Option<Simulated> {
        let message = if self.random.f64() < self.mix.bad_share {
            let kinds = &self.mix.bad_kinds;
            let bad = kinds[self.bad % kinds.len()];
            self.bad += 1;
            self.corrupt(bad)
        } else {
            self.good()
        };
        self.made += 1;
        Some(message)
    }
}

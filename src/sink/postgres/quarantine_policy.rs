//! Quarantine policy: which rejections are stored, and which only counted.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use parking_lot::{Mutex, MutexGuard};

use super::quarantine::Keep;
use super::unregistered_names::{MINUTES_REMEMBERED, UnregisteredNames};
use crate::delivery::Origin;
use crate::message::RejectedPoint;
use ingest_core::message::rejection::Reason;
use ingest_core::validate::event::QuarantineRecord;

const MINUTE_US: i64 = 60_000_000;

/// Senders told apart within a minute; the others share one count. A count takes some 20 bytes, so that all of them
/// together stay below 16 MiB.
const SENDERS_PER_MINUTE: usize = 10_000;

/// What senders beyond [`SENDERS_PER_MINUTE`] are counted under.
const CROWD: u64 = 0;

/// Which rejections are stored: by the run-time settings, and up to caps per minute of the broker's time. The others are counted only.
///
/// Shared by the writer and the transactions that find refused rows.
#[derive(Debug)]
pub(super) struct QuarantinePolicy(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// `STORE_REJECTS`.
    store_rejects: bool,
    /// `MIRROR_REJECTS_TO_RAW`, in `DEV`.
    mirror_rejects: bool,
    cap: u32,
    stored: Counts,
    unregistered_names: UnregisteredNames,
}

impl QuarantinePolicy {
    /// A policy with a cap on stored events per minute and sender.
    pub(super) fn new(cap: u32) -> Self {
        Self(Mutex::new(Inner {
            store_rejects: true,
            mirror_rejects: false,
            cap,
            stored: Counts::default(),
            unregistered_names: UnregisteredNames::default(),
        }))
    }

    /// Takes over the run-time settings.
    pub(super) fn configure(&self, store_rejects: bool, mirror_rejects: bool) {
        let mut inner = self.lock();
        (inner.store_rejects, inner.mirror_rejects) = (store_rejects, mirror_rejects);
    }

    /// Where a refused message goes. `has_rows` says whether its lane has rows in `raw_events` at all. The second value
    /// tells whether a cap alone kept it out.
    pub(super) fn decide(&self, origin: &Origin, refusal: &QuarantineRecord, has_rows: bool) -> (Keep, bool) {
        let mut inner = self.lock();
        let reason = refusal.rejection.reason;
        let tenant = refusal.counted_tenant();
        // What no tenant's fault explains is stored whatever the settings, up to a cap per device.
        let (stores, device) = match reason.is_always_stored() {
            // Whoever has no registered device has none to be told apart by.
            true => (true, refusal.device_id.as_deref().filter(|_| refusal.tenant_id.as_deref() == Some(tenant))),
            false => (inner.store_rejects, None),
        };
        let wanted = Keep { event: stores, mirror: has_rows && inner.mirror_rejects };
        if reason.is_never_stored() || !(wanted.event || wanted.mirror) {
            return (Keep::COUNTED, false);
        }
        inner.admit(origin, reason, tenant, device.unwrap_or_default(), wanted)
    }

    /// Counts a tenant by name that has no registered device because its subscriptions have no room for one: that is an
    /// operator's business, unlike other strangers' messages. Only so many names a minute, for senders choose them.
    pub(super) fn name_stranger(&self, origin: &Origin, refusal: &mut QuarantineRecord) {
        if refusal.of_unknown_tenant
            && refusal.rejection.reason == Reason::NoSubscriptionCapacity
            && let Some(tenant) = &refusal.tenant_id
        {
            let minute = origin.received_us.div_euclid(MINUTE_US);
            refusal.of_unknown_tenant = !self.lock().unregistered_names.admit(minute, tenant);
        }
    }

    /// Where a refused point goes.
    pub(super) fn decide_point(&self, point: &RejectedPoint) -> (Keep, bool) {
        self.lock().admit(&point.origin, Reason::PointRefused, &point.tenant_id, series(&point.line), Keep::STORED)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Inner {
    fn admit(&mut self, origin: &Origin, reason: Reason, tenant: &str, device: &str, wanted: Keep) -> (Keep, bool) {
        // Of what is always stored something is, however small the cap.
        let cap = if reason.is_always_stored() { self.cap.max(1) } else { self.cap };
        let minute = origin.received_us.div_euclid(MINUTE_US);
        if self.stored.admit(minute, &(reason, tenant, device), cap) { (wanted, false) } else { (Keep::COUNTED, true) }
    }
}

/// The tags of a line: which device it is of, whatever it measures.
fn series(line: &str) -> &str {
    let end = line.find(" seq=").or_else(|| line.find(' ')).unwrap_or(line.len());
    let tags = &line[..end];
    tags.find(',').map_or(tags, |measurement| &tags[measurement..])
}

/// How many events each sender had stored, by minute. Senders are told apart by a keyed hash: their names are as long as
/// strangers make them.
#[derive(Debug, Default)]
struct Counts {
    minutes: BTreeMap<i64, HashMap<u64, u32>>,
    /// Minutes before this one are forgotten; they share one count, which begins again whenever more are forgotten.
    floor: Option<i64>,
    older: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Counts {
    /// Counts one more for a sender and minute; `false` over the cap.
    fn admit(&mut self, minute: i64, sender: &(Reason, &str, &str), cap: u32) -> bool {
        let sender = self.hasher.hash_one(sender);
        let counts = self.of(minute);
        let is_crowded = counts.len() >= SENDERS_PER_MINUTE && !counts.contains_key(&sender);
        let count = counts.entry(if is_crowded { CROWD } else { sender }).or_default();
        let is_admitted = *count < cap;
        *count += u32::from(is_admitted);
        is_admitted
    }

    fn of(&mut self, minute: i64) -> &mut HashMap<u64, u32> {
        let is_full = self.minutes.len() >= MINUTES_REMEMBERED && !self.minutes.contains_key(&minute);
        if is_full && self.floor.is_none_or(|floor| minute >= floor) {
            let oldest = self.minutes.first_key_value().map_or(minute, |(oldest, _)| *oldest);
            if minute > oldest {
                self.minutes.pop_first();
                self.floor = Some(oldest + 1);
            } else {
                self.floor = Some(oldest);
            }
            self.older.clear();
        }
        match self.floor {
            Some(floor) if minute < floor => &mut self.older,
            _ => self.minutes.entry(minute).or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ingest_core::message::quarantine_content::Content;
    use ingest_core::message::rejection::Rejection;

    fn refusal(tenant: &str, device: &str, reason: Reason) -> QuarantineRecord {
        QuarantineRecord {
            rejection: Rejection::from(reason),
            topic: String::new(),
            tenant_id: Some(tenant.to_owned()),
            site_id: None,
            device_id: Some(device.to_owned()),
            msg_type: None,
            of_unknown_tenant: false,
            event_us: None,
            content: Content::Json("{}".to_owned()),
        }
    }

    fn at(received_us: i64) -> Origin {
        Origin { stream: "TELEMETRY".into(), stream_seq: 1, received_us }
    }

    fn stored(policy: &QuarantinePolicy, us: i64, refusal: &QuarantineRecord) -> bool {
        policy.decide(&at(us), refusal, true).0.event
    }

    #[test]
    fn a_flood_is_stored_up_to_the_cap_of_its_tenant_reason_and_minute() {
        let policy = QuarantinePolicy::new(2);
        let flood = refusal("a", "d", Reason::DeviceRevoked);
        let flooded = [0, 1, 2].map(|us| stored(&policy, us, &flood));
        assert_eq!(flooded, [true, true, false]);
        assert!(!stored(&policy, 3, &refusal("a", "e", Reason::DeviceRevoked)), "its devices share the cap");
        assert!(stored(&policy, 3, &refusal("a", "d", Reason::TokenInvalid)), "another reason has its own cap");
        assert!(stored(&policy, 3, &refusal("b", "d", Reason::DeviceRevoked)), "another tenant too");
        assert!(stored(&policy, MINUTE_US, &flood), "another minute too");
    }

    #[test]
    fn what_no_tenant_is_to_blame_for_is_stored_up_to_a_cap_per_device_and_when_storing_is_off() {
        let policy = QuarantinePolicy::new(2);
        policy.configure(false, false);
        // What has no device has a cap of its own, below.
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::BadEnvelope) {
            for device in ["d", "e"] {
                let kept = [0, 1, 2].map(|us| stored(&policy, us, &refusal("a", device, reason)));
                // What is of nobody has no device either: one cap for all of it.
                let always = reason.is_always_stored() && (device == "d" || !reason.is_unattributed());
                assert_eq!(kept, [always, always, false], "{reason}");
            }
        }
        assert!(
            stored(&QuarantinePolicy::new(0), 0, &refusal("a", "d", Reason::RowRefused)),
            "something of it, however small the cap"
        );
    }

    #[test]
    fn bytes_of_nobody_share_one_cap() {
        let policy = QuarantinePolicy::new(2);
        let nobody = QuarantineRecord { tenant_id: None, device_id: None, ..refusal("", "", Reason::BadEnvelope) };
        assert_eq!([0, 1, 2].map(|us| stored(&policy, us, &nobody)), [true, true, false]);
    }

    #[test]
    fn a_stranger_whose_subscription_has_no_room_is_counted_by_name_and_any_other_is_not() {
        let policy = QuarantinePolicy::new(2);
        for (reason, counted) in [(Reason::NoSubscriptionCapacity, "a"), (Reason::UnregisteredDevice, "unknown")] {
            let mut refusal = QuarantineRecord { of_unknown_tenant: true, ..refusal("a", "d", reason) };
            policy.name_stranger(&at(0), &mut refusal);
            assert_eq!(refusal.counted_tenant(), counted, "{reason}");
        }
    }

    #[test]
    fn refused_points_are_stored_up_to_a_cap_per_device() {
        let policy = QuarantinePolicy::new(2);
        let kept = |line: &str| {
            let point = RejectedPoint {
                tenant_id: "a".into(),
                origin: at(0),
                line: line.to_owned(),
                message: String::new(),
                guard: None,
                owed: Default::default(),
            };
            policy.decide_point(&point).0.event
        };
        let flood = [
            kept("telemetry,device_id=d\\ 1,site_id=s seq=1i,x=1 1"),
            kept("heartbeat,device_id=d\\ 1,site_id=s seq=2i 2"),
            kept("telemetry,device_id=d\\ 1,site_id=s seq=3i,y=2 3"),
        ];
        assert_eq!(flood, [true, true, false]);
        assert!(kept("telemetry,device_id=d\\ 2,site_id=s seq=3i,y=2 3"));
    }

    #[test]
    fn what_the_limiter_refused_is_neither_stored_nor_mirrored() {
        let policy = QuarantinePolicy::new(10);
        policy.configure(true, true);
        let decided = policy.decide(&at(0), &refusal("a", "d", Reason::RateLimited), true);
        assert_eq!(decided, (Keep::COUNTED, false));
    }

    #[test]
    fn rejects_are_mirrored_where_their_lane_has_rows() {
        let policy = QuarantinePolicy::new(10);
        policy.configure(false, true);
        assert!(policy.decide(&at(0), &refusal("a", "d", Reason::TokenInvalid), true).0.mirror);
        assert!(!policy.decide(&at(0), &refusal("a", "d", Reason::TokenInvalid), false).0.mirror);
    }

    #[test]
    fn what_is_older_than_the_remembered_minutes_shares_one_cap() {
        let policy = QuarantinePolicy::new(2);
        let flood = refusal("a", "d", Reason::TokenInvalid);
        let at_minute = |minute: i64| stored(&policy, minute * MINUTE_US, &flood);
        for minute in 1_000..1_060 {
            assert!(at_minute(minute), "{minute}");
        }
        let late: Vec<bool> = (0..500).map(at_minute).collect();
        assert_eq!(late.iter().filter(|stored| **stored).count(), 2, "a lane that catches up");
        assert!(at_minute(1_060) && at_minute(1_030), "what is new has its own");
    }

    #[test]
    fn as_many_senders_as_there_may_be_cost_a_bounded_memory() {
        let mut counts = Counts::default();
        for minute in 0..200_i64 {
            for sender in 0..SENDERS_PER_MINUTE / 100 + 1 {
                counts.admit(minute, &(Reason::RowRefused, "a", &sender.to_string()), 1);
            }
        }
        for sender in 0..3 * SENDERS_PER_MINUTE {
            counts.admit(199, &(Reason::RowRefused, "a", &sender.to_string()), 1);
        }
        assert_eq!(counts.minutes.len(), MINUTES_REMEMBERED);
        assert!(counts.minutes.values().all(|senders| senders.len() <= SENDERS_PER_MINUTE + 1));
    }
}

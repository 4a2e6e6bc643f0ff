//! The token buckets of devices.

use std::collections::HashMap;

use crate::delivery::Lane;
use ingest_core::flow::rate_limit::{Bucket, Limit};
use ingest_core::message::device::DeviceKey;

/// The buckets of registered devices: a stranger makes no map grow. One per lane, because the lanes are not read in one
/// order of time: a bucket that has seen a newer message of another lane would refill nothing for a backlog.
#[derive(Debug, Default)]
pub(crate) struct Buckets([HashMap<DeviceKey, Bucket>; Lane::COUNT]);

impl Buckets {
    /// Takes a token; `at_us` is the broker's time of the message.
    pub(crate) fn admit(
        &mut self,
        lane: Lane,
        device: &DeviceKey,
        at_us: i64,
        redelivered: bool,
        limit: &Limit,
    ) -> bool {
        if limit.rps <= 0.0 {
            return true;
        }
        let buckets = &mut self.0[lane.index()];
        match buckets.get_mut(device) {
            Some(bucket) => bucket.admit(at_us, redelivered, limit),
            None => buckets.entry(device.clone()).or_insert(Bucket::full(at_us)).admit(at_us, redelivered, limit),
        }
    }

    /// Forgets buckets that have not been asked since `before_us`, by the broker's time: they are full again.
    pub(crate) fn forget_idle(&mut self, before_us: i64) {
        self.0.iter_mut().for_each(|buckets| buckets.retain(|_, bucket| bucket.last_us() >= before_us));
    }
}

//! The token buckets of one validator's devices.

use std::collections::HashMap;

use crate::core::device::DeviceKey;
use crate::core::rate_limit::{Bucket, Limit};

/// The buckets of devices that have been authenticated: a stranger can neither empty one nor make the map grow.
#[derive(Debug, Default)]
pub struct Buckets(HashMap<DeviceKey, Bucket>);

impl Buckets {
    /// Takes a token; `at_us` is the broker's time of the message.
    pub fn admit(&mut self, device: &DeviceKey, at_us: i64, redelivered: bool, limit: &Limit) -> bool {
        if limit.rps <= 0.0 {
            return true;
        }
        match self.0.get_mut(device) {
            Some(bucket) => bucket.admit(at_us, redelivered, limit),
            None => self.0.entry(device.clone()).or_insert(Bucket::full(at_us)).admit(at_us, redelivered, limit),
        }
    }

    /// Forgets buckets that have not been asked since `before_us`, by the broker's time: they are full again.
    pub fn forget_idle(&mut self, before_us: i64) {
        self.0.retain(|_, bucket| bucket.last_us() >= before_us);
    }
}

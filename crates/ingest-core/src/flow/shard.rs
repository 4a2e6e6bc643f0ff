//! Sharding: which validator a device belongs to.

use crate::message::digest::fnv1a;

/// The shard of a message by its topic: equal for all messages of a device, whatever their type. Text that names no device
/// has a shard too, always the same one.
pub fn of_topic(topic: &str, shards: usize) -> usize {
    // `tenant/{tenant}/device/{device}`: everything before the fourth slash.
    let mut slashes = 0;
    let identity = topic.bytes().take_while(|byte| {
        slashes += u32::from(*byte == b'/');
        slashes < 4
    });
    let hash = fnv1a(identity);
    // FNV alone hardly moves its upper bits for ids that differ in their last characters only: mix (murmur3's finaliser).
    let mixed = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    ((mixed >> 33) as usize) % shards.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_stays_on_its_shard_whatever_it_sends() {
        for device in 0..100 {
            let topic = |rest: &str| of_topic(&format!("tenant/acme/device/{device}/{rest}"), 4);
            assert_eq!(topic("telemetry"), topic("heartbeat"));
            assert_eq!(topic("telemetry"), topic("shadow/reported"));
        }
    }

    #[test]
    fn devices_spread_over_the_shards() {
        let mut load = [0; 4];
        (0..1000).for_each(|device| load[of_topic(&format!("tenant/t/device/dev-{device:04}/telemetry"), 4)] += 1);
        assert!(load.iter().all(|devices| (150..350).contains(devices)), "{load:?}");
    }
}

//! What a reader of the registry keeps of its devices: answers with their age, token buckets, and who waits for an answer.
//! Validators have one of each; the gateway's door has them in shards.

mod buckets;
mod cache;
mod deferred;

pub(crate) use self::buckets::Buckets;
pub(crate) use self::cache::{Ages, DeviceCache, RegistryLink};
pub(crate) use self::deferred::{Answered, DeferredMessages};

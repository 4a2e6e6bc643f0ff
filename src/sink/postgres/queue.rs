//! What waits for a transaction.

use super::batch::Batch;
use super::kinds::{Frequency, Item, Items, Kind, Waiting, each_kind};
use ingest_core::flow::batch::take;

/// Deliveries that wait for a transaction. Bounded by the consumers' windows.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Waiting,
    /// Kinds that can't be stored now, by [`Kind`]'s number.
    held: [bool; Kind::ALL.len()],
}

impl Queue {
    /// Appends items of one kind.
    pub(super) fn append<I: Item>(&mut self, items: impl IntoIterator<Item = I>) {
        I::among_mut(&mut self.waiting).extend(items);
    }

    /// Everything that waits.
    pub(super) fn len(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.len_of(kind)).sum()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits and may be taken: not of the kinds that are held.
    pub(super) fn open_len(&self) -> usize {
        self.open().map(|kind| self.len_of(kind)).sum()
    }

    /// Holds a kind back, or lets it go again.
    pub(super) fn hold(&mut self, kind: Kind, is_held: bool) {
        self.held[kind as usize] = is_held;
    }

    /// Takes the oldest of each kind that is not held, at most `size` in all. The rare kinds go first and in full, so that no
    /// flood can keep them waiting; the others share what is left, so that neither can a flood of rejections the rows.
    pub(super) fn take(&mut self, size: usize) -> Batch {
        let (mut items, mut room) = (Items::default(), size);
        let waiting = self.open().rev().filter(|kind| self.len_of(*kind) > 0);
        let (rare, bulk): (Vec<Kind>, Vec<Kind>) = waiting.partition(|kind| kind.frequency() == Frequency::Rare);
        for kind in rare {
            room -= self.take_into(&mut items, kind, room);
        }
        for (place, kind) in bulk.iter().enumerate() {
            room -= self.take_into(&mut items, *kind, room.div_ceil(bulk.len() - place));
        }
        Batch { items, ..Batch::default() }
    }

    /// Takes the oldest of one kind, held or not.
    pub(super) fn take_of(&mut self, kind: Kind, size: usize) -> Batch {
        let mut items = Items::default();
        self.take_into(&mut items, kind, size);
        Batch { items, ..Batch::default() }
    }

    /// Moves the oldest of one kind, at most `size`, to where nothing of its kind is yet; how many.
    fn take_into(&mut self, items: &mut Items, kind: Kind, mut size: usize) -> usize {
        let before = size;
        each_kind!(I, {
            if I::KIND == kind {
                *I::among_mut(items) = take(I::among_mut(&mut self.waiting), &mut size);
            }
        });
        before - size
    }

    /// The kinds that are not held.
    fn open(&self) -> impl DoubleEndedIterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.held[*kind as usize])
    }

    fn len_of(&self, kind: Kind) -> usize {
        let mut len = 0;
        each_kind!(I, {
            if I::KIND == kind {
                len = I::among(&self.waiting).len();
            }
        });
        len
    }
}

impl From<Items> for Queue {
    fn from(mut items: Items) -> Self {
        let mut queue = Self::default();
        each_kind!(I, {
            *I::among_mut(&mut queue.waiting) = std::mem::take(I::among_mut(&mut items)).into();
        });
        queue
    }
}

/// Cuts a batch into batches of at most `size`, each to be written in isolation: so that the transactions that look for
/// what was refused stay short, however much of it there is.
pub(super) fn split(mut batch: Batch, size: usize) -> Vec<Batch> {
    let mut parts = Vec::with_capacity(batch.len() / size.max(1) + 1);
    let mut queue = Queue::from(std::mem::take(&mut batch.items));
    while !queue.is_empty() {
        parts.push(batch.isolated(queue.take(size).items));
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix::prelude::*;
    use bytes::Bytes;

    use super::*;
    use crate::delivery::{Delivery, Origin, Settle, SettleHandle};
    use crate::sink::postgres::batch::WriteMode;
    use crate::sink::postgres::kinds::{AckItem, EventItem, ShadowItem};
    use crate::sink::postgres::quarantine::{Keep, PendingQuarantine};
    use ingest_core::message::device::{Device, DeviceKey, Subscription};
    use ingest_core::message::msg_type::MsgType;
    use ingest_core::message::quarantine_content::Content;
    use ingest_core::message::rejection::{Reason, Rejection};
    use ingest_core::validate::event::{CommandAck, Event, QuarantineRecord, ShadowReport};

    struct Deaf;

    impl Actor for Deaf {
        type Context = Context<Self>;
    }

    impl Handler<Settle> for Deaf {
        type Result = ();

        fn handle(&mut self, _: Settle, _: &mut Self::Context) {}
    }

    fn origin(stream_seq: u64) -> Origin {
        Origin { stream: "TELEMETRY".into(), stream_seq, received_us: 0 }
    }

    fn delivery(stream_seq: u64) -> Delivery {
        let settle_handle = SettleHandle::new(Deaf.start().recipient());
        Delivery::new(origin(stream_seq), 1, Bytes::new(), stream_seq, settle_handle)
    }

    fn device() -> Arc<Device> {
        Arc::new(Device {
            key: DeviceKey { tenant_id: "a".into(), device_id: "d".into() },
            site_id: "s".to_owned(),
            active: true,
            subscription: Subscription::Passes,
            token_hash: None,
            certificates: Vec::new(),
            metric_keys: Default::default(),
            location_is_auto: false,
            sensor_limit: 0,
        })
    }

    fn event(stream_seq: u64) -> EventItem {
        let event = Event {
            device: device(),
            topic: "t".into(),
            msg_type: MsgType::Telemetry,
            seq: 0,
            event_us: 0,
            payload: "{}".into(),
            line: None,
            location: None,
            metrics_signature: 0,
            routes: None,
        };
        (delivery(stream_seq), event)
    }

    fn shadow(stream_seq: u64) -> ShadowItem {
        (delivery(stream_seq), ShadowReport { device: device(), reported: "{}".to_owned(), version: 1 })
    }

    fn ack(stream_seq: u64) -> AckItem {
        let ack = CommandAck { device: device(), command_id: "c".to_owned(), ack_details: "{}".to_owned() };
        (delivery(stream_seq), ack)
    }

    fn rejection(stream_seq: u64) -> PendingQuarantine {
        let record = QuarantineRecord {
            rejection: Rejection::from(Reason::BadEnvelope),
            topic: String::new(),
            tenant_id: None,
            site_id: None,
            device_id: None,
            msg_type: None,
            of_unknown_tenant: false,
            event_us: None,
            content: Content::Json("{}".to_owned()),
        };
        PendingQuarantine::of(origin(stream_seq), record, Keep::STORED)
    }

    /// Two of each rare kind behind ten of each other one.
    fn flooded() -> Queue {
        let mut queue = Queue::default();
        queue.append((0..10).map(event));
        queue.append((0..10).map(rejection));
        queue.append((0..2).map(shadow));
        queue.append((0..2).map(ack));
        queue
    }

    /// How many there are of each kind, in the order of [`Kind::ALL`].
    fn counts(items: &Items) -> [usize; Kind::ALL.len()] {
        let Items { events, shadows, acks, rejections } = items;
        [events.len(), shadows.len(), acks.len(), rejections.len()]
    }

    #[actix_rt::test]
    async fn rare_kinds_go_first_and_the_others_share_what_is_left() {
        let taken = |size| counts(&flooded().take(size).items);
        assert_eq!(taken(9), [2, 2, 2, 3], "rows and rejections share five");
        assert_eq!(taken(3), [0, 1, 2, 0]);
        assert_eq!(taken(0), [0, 0, 0, 0]);
        assert_eq!(taken(100), [10, 2, 2, 10]);
        let mut queue = flooded();
        drop(queue.take_of(Kind::Rejections, 9));
        assert_eq!(counts(&queue.take(9).items), [4, 2, 2, 1], "what one does not need the other gets");
    }

    #[actix_rt::test]
    async fn a_kind_that_is_held_stays_and_leaves_its_share_to_others() {
        let mut queue = flooded();
        queue.hold(Kind::Events, true);
        queue.hold(Kind::Acks, true);
        assert_eq!(queue.open_len(), 12);
        assert_eq!(counts(&queue.take(9).items), [0, 2, 0, 7]);
        queue.hold(Kind::Acks, false);
        assert_eq!(counts(&queue.take(9).items), [0, 0, 2, 3]);
        assert_eq!(counts(&queue.take_of(Kind::Events, 4).items), [4, 0, 0, 0], "a trial takes what is held");
        assert_eq!((queue.len(), queue.open_len()), (6, 0));
    }

    #[actix_rt::test]
    async fn the_parts_of_a_batch_are_the_whole_in_order_and_isolated() {
        let batch = Batch { has_unknown_end: true, ..flooded().take(100) };
        let parts = split(batch, 5);
        assert!(parts.iter().all(|part| part.len() <= 5 && part.has_unknown_end));
        assert!(parts.iter().all(|part| part.write_mode == WriteMode::Bisect));
        let rows = parts.iter().flat_map(|part| &part.items.events).map(|(delivery, _)| delivery.origin.stream_seq);
        assert_eq!(rows.collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(parts.iter().map(Batch::len).sum::<usize>(), 24);
    }

    #[actix_rt::test]
    async fn what_is_appended_to_nothing_is_moved_and_not_copied() {
        let mut batch = flooded().take(100);
        let at = batch.items.events.as_ptr();
        let mut rows = batch.items.take(Kind::Events);
        assert_eq!(counts(&batch.items), [0, 2, 2, 10]);
        batch.items.append(std::mem::take(&mut rows));
        assert_eq!(batch.items.events.as_ptr(), at);
        batch.items.append(flooded().take(100).items);
        assert_eq!(counts(&batch.items), [20, 4, 4, 20]);
    }
}

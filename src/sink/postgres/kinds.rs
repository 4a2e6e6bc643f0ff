//! The kinds of items that the Writer stores, declared once. Each has tables of its own, and one kind's trouble is not
//! another's.

use std::collections::VecDeque;
use std::fmt::Debug;

use super::stored::StoredEvents;
use crate::delivery::Delivery;
use ingest_core::validate::event::{CommandAck, Event, ShadowReport};

/// A row of `raw_events`.
pub(super) type EventItem = (Delivery, Event);
/// A report of the shadow lane.
pub(super) type ShadowItem = (Delivery, ShadowReport);
/// An acknowledgement of the command lane.
pub(super) type AckItem = (Delivery, CommandAck);

/// An item of a batch, and where items of its kind are found.
pub(super) trait Item: Debug + Sized {
    /// Its kind.
    const KIND: Kind;

    /// What is known of the items of a batch once they are stored.
    type Stored: Debug + Default;

    /// The part of this kind.
    fn among<C: Collection>(all: &PerKind<C>) -> &C::Of<Self>;

    /// The part of this kind, to be changed.
    fn among_mut<C: Collection>(all: &mut PerKind<C>) -> &mut C::Of<Self>;
}

/// What [`PerKind`] has one of for each kind.
pub(super) trait Collection: Debug + Default {
    /// The one for items of this type.
    type Of<I: Item>: Debug + Default;
}

/// Items in a batch.
#[derive(Debug, Default)]
pub(super) struct Lists;

/// Items that wait for a batch.
#[derive(Debug, Default)]
pub(super) struct Queues;

/// What is known of stored items.
#[derive(Debug, Default)]
pub(super) struct Outcomes;

impl Collection for Lists {
    type Of<I: Item> = Vec<I>;
}

impl Collection for Queues {
    type Of<I: Item> = VecDeque<I>;
}

impl Collection for Outcomes {
    type Of<I: Item> = I::Stored;
}

/// The items of one transaction.
pub(super) type Items = PerKind<Lists>;
/// Items that wait for a transaction.
pub(super) type Waiting = PerKind<Queues>;
/// What an attempt has made durable.
pub(super) type Stored = PerKind<Outcomes>;

/// Declares the kinds: `Variant, field: item type => type of what is known once stored, name for operators, frequency;`.
/// Makes [`Kind`], [`PerKind`], an [`Item`] of each item type, and the macro that loops over them.
macro_rules! kinds {
    (
        ($dollar:tt $each:ident)
        $($(#[$doc:meta])* $kind:ident, $field:ident: $item:ty => $stored:ty, $name:literal, $frequency:ident;)*
    ) => {
        /// What items of a batch are. A kind may turn into a later one: an item that is refused becomes a rejection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub(super) const ALL: [Kind; [$(Kind::$kind),*].len()] = [$(Kind::$kind),*];

            /// What operators know it as.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }

            /// How much there is of it.
            pub(super) const fn frequency(self) -> Frequency {
                match self {
                    $(Kind::$kind => Frequency::$frequency,)*
                }
            }
        }

        /// One of something for each kind.
        #[derive(Debug, Default)]
        pub(super) struct PerKind<C: Collection> {
            $($(#[$doc])* pub(super) $field: C::Of<$item>,)*
        }

        $(impl Item for $item {
            const KIND: Kind = Kind::$kind;

            type Stored = $stored;

            fn among<C: Collection>(all: &PerKind<C>) -> &C::Of<Self> {
                &all.$field
            }

            fn among_mut<C: Collection>(all: &mut PerKind<C>) -> &mut C::Of<Self> {
                &mut all.$field
            }
        })*

        /// Repeats a block for each kind, in the order of their declaration, with the type of its items under the given
        /// name. The block may await and return.
        macro_rules! $each {
            ($dollar item:ident, $dollar body:block) => {
                $({
                    type $dollar item = $item;
                    $dollar body
                })*
            };
        }
    };
}

/// How much there is of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frequency {
    /// So little that it never waits for others.
    Rare,
    /// So much that it would keep others waiting.
    Bulk,
}

kinds! {
    ($ for_each_kind)
    /// Rows of `raw_events`.
    Events, events: crate::sink::postgres::kinds::EventItem => StoredEvents, "rows", Bulk;
    /// Reports of the shadow lane.
    Shadows, shadows: crate::sink::postgres::kinds::ShadowItem => u64, "shadow reports", Rare;
    /// Acknowledgements of the command lane.
    Acks, acks: crate::sink::postgres::kinds::AckItem => u64, "command acknowledgements", Rare;
    /// Quarantine and counters. The last: what is refused of the others becomes one.
    Rejections, rejections: crate::sink::postgres::quarantine::PendingQuarantine => u64, "rejections", Bulk;
}

pub(super) use for_each_kind as each_kind;

impl Items {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let mut len = 0;
        each_kind!(I, {
            len += I::among(self).len();
        });
        len
    }

    /// Appends others. What goes to where nothing is yet is moved as a whole.
    pub(super) fn append(&mut self, mut others: Items) {
        each_kind!(I, {
            let (items, more) = (I::among_mut(self), I::among_mut(&mut others));
            match items.is_empty() {
                true => std::mem::swap(items, more),
                false => items.append(more),
            }
        });
    }

    /// Takes those of a kind out.
    pub(super) fn take(&mut self, kind: Kind) -> Items {
        let mut taken = Items::default();
        each_kind!(I, {
            if I::KIND == kind {
                std::mem::swap(I::among_mut(self), I::among_mut(&mut taken));
            }
        });
        taken
    }
}

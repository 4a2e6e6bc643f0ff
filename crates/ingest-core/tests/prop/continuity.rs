//! Numbers of a device, in whatever order and by whichever replica they are heard.

use ingest_core::state::continuity::{Continuity, Heard, Limits, Message, Rules};
use proptest::prelude::*;

const S: i64 = 1_000_000;
const RULES: Rules =
    Rules { limits: Limits { factor: 5, least_us: 60 * S, most_us: 86_400 * S }, missing_after_us: 60 * S };

fn message(seq: i64, received_us: i64) -> Message {
    Message { seq, received_us, is_new: true, is_reading: true }
}

/// What was heard of each message, merged one after the other.
fn heard(messages: &[Message]) -> Heard {
    let mut heard = Heard::default();
    for message in messages {
        let mut one = Heard::default();
        one.add(*message);
        heard.merge(one);
    }
    heard
}

/// Hears the messages in flushes of these sizes, and counts whatever is missing.
fn hear_all(device: &mut Continuity, messages: &[Message], sizes: &[usize]) {
    let mut left = messages;
    for size in sizes.iter().cycle() {
        if left.is_empty() {
            break;
        }
        let (flush, rest) = left.split_at((*size).min(left.len()));
        device.hear(&heard(flush), S, &RULES);
        left = rest;
    }
    for minute in 1..=3 {
        device.hear(&heard(&[message(0, 0)]), minute * 61 * S, &RULES);
    }
}

/// Missing, late, repeats, resets, highest number, ranges.
fn figures(device: &Continuity) -> (i64, i64, i64, i64, i64, Vec<(i64, i64)>) {
    let of = &device.numbering;
    (of.missing, of.late, of.repeats, of.resets, of.last, of.missing_ranges.iter().collect())
}

prop_compose! {
    /// Numbers one after the other, each displaced by a few places, received in that order.
    fn shuffled()(first in 1..1_000_i64, keys in prop::collection::vec(0..14_usize, 2..120)) -> Vec<Message> {
        let mut places: Vec<(usize, i64)> = keys.iter().enumerate().map(|(place, key)| (place + key, place as i64)).collect();
        places.sort();
        places.iter().zip(1..).map(|((_, number), at)| message(first + number, at * S)).collect()
    }
}

proptest! {
    #[test]
    fn messages_are_added_one_by_one_as_they_are_merged(
        messages in prop::collection::vec((-1..40_i64, 0..300_i64, any::<bool>(), any::<bool>()), 0..600),
    ) {
        let messages: Vec<Message> = messages.into_iter()
            .map(|(seq, received_us, is_new, is_reading)| Message { seq, received_us, is_new, is_reading }).collect();
        let mut added = Heard::default();
        messages.iter().for_each(|message| added.add(*message));
        prop_assert_eq!(added, heard(&messages));
    }

    #[test]
    fn a_whole_sequence_in_any_order_has_nothing_missing(messages in shuffled(), sizes in prop::collection::vec(1..9_usize, 1..6)) {
        let mut device = Continuity::default();
        hear_all(&mut device, &messages, &sizes);
        let (missing, _, repeats, resets, last, ranges) = figures(&device);
        prop_assert_eq!((missing, repeats, resets, ranges), (0, 0, 0, vec![]));
        prop_assert_eq!(Some(last), messages.iter().map(|message| message.seq).max());
    }

    #[test]
    fn redeliveries_change_nothing(messages in shuffled(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let mut device = Continuity::default();
        hear_all(&mut device, &messages, &[3]);
        let before = figures(&device);
        let again: Vec<Message> =
            again.iter().map(|index| Message { is_new: false, ..*index.get(&messages) }).collect();
        hear_all(&mut device, &again, &[2]);
        prop_assert_eq!(figures(&device), before);
    }

    #[test]
    fn two_replicas_that_share_the_messages_find_what_one_would(
        lost in prop::collection::vec(prop::bool::weighted(0.2), 20..100),
        shares in prop::collection::vec(any::<bool>(), 100),
        chunk in 1..12_usize,
    ) {
        let sent: Vec<Message> = (1..=10).chain((11..).zip(&lost).filter(|(_, lost)| !**lost).map(|(seq, _)| seq))
            .map(|seq| message(seq, seq * S)).collect();
        let mut one = Continuity::default();
        hear_all(&mut one, &sent, &[1]);
        // Both begin alike, so that both know where the device stands; then each flushes its share, one after the other.
        let mut both = Continuity::default();
        both.hear(&heard(&sent[..10]), S, &RULES);
        for (place, flush) in sent[10..].chunks(chunk).enumerate() {
            let (mine, other): (Vec<_>, Vec<_>) = flush.iter().enumerate().partition(|(at, _)| shares[(place * chunk + at) % 100]);
            for share in [mine, other] {
                let share: Vec<Message> = share.into_iter().map(|(_, message)| *message).collect();
                both.hear(&heard(&share), S, &RULES);
            }
        }
        hear_all(&mut both, &[], &[1]);
        prop_assert_eq!(figures(&both), figures(&one));
    }

    #[test]
    fn any_numbers_at_all_keep_the_record_whole(
        numbers in prop::collection::vec((prop_oneof![any::<i64>(), -3..40_i64, 990..1_010_i64], any::<i64>(), any::<bool>(), any::<bool>()), 0..200),
        sizes in prop::collection::vec(1..20_usize, 1..4),
    ) {
        let messages: Vec<Message> = numbers.into_iter()
            .map(|(seq, received_us, is_new, is_reading)| Message { seq, received_us, is_new, is_reading }).collect();
        let mut device = Continuity::default();
        hear_all(&mut device, &messages, &sizes);
        let (missing, late, repeats, resets, last, ranges) = figures(&device);
        prop_assert!(missing >= 0 && late >= 0 && repeats >= 0 && resets >= 0 && last >= 0 && ranges.len() <= 64);
        prop_assert!(ranges.iter().all(|(first, end)| *first > device.numbering.first && first <= end && *end < last));
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}

use super::{Assessment, Cadence, Continuity, Found, Heard, Limits, Message, Rules};

const S: i64 = 1_000_000;
const RULES: Rules =
    Rules { limits: Limits { factor: 5, least_us: 60 * S, most_us: 86_400 * S }, missing_after_us: 60 * S };

fn message(seq: i64, received_s: i64) -> Message {
    Message { seq, received_us: received_s * S, is_new: true, is_reading: true }
}

/// What one flush has heard.
fn heard(messages: impl IntoIterator<Item = Message>) -> Heard {
    let mut heard = Heard::default();
    messages.into_iter().for_each(|message| heard.add(message));
    heard
}

/// Hears numbers, one a second from `from_s` on, each in a flush of its own, and counts everything that is missing.
fn hear(device: &mut Continuity, numbers: &[i64], from_s: i64) -> Found {
    let mut found = Found::default();
    for (place, seq) in numbers.iter().enumerate() {
        found += device.hear(&heard([message(*seq, from_s + place as i64)]), from_s * S, &RULES);
    }
    for minute in 1..=2 {
        found += device.hear(&heard([message(0, from_s)]), (from_s + minute * 60) * S, &RULES);
    }
    found
}

/// Missing, late, repeats, resets.
fn figures(device: &Continuity) -> [i64; 4] {
    let numbers = &device.numbering;
    [numbers.missing, numbers.late, numbers.repeats, numbers.resets]
}

fn ranges(device: &Continuity) -> Vec<(i64, i64)> {
    device.numbering.missing_ranges.iter().collect()
}

#[test]
fn a_gap_is_missing_after_a_while_and_late_when_it_comes() {
    let mut device = Continuity::default();
    let found = device.hear(&heard([1, 2, 6].map(|seq| message(seq, seq))), 0, &RULES);
    assert_eq!((found, ranges(&device)), (Found::default(), vec![(3, 5)]));
    // In time.
    device.hear(&heard([message(4, 7)]), 10 * S, &RULES);
    assert_eq!(hear(&mut device, &[7], 100), Found { missing: 2, ..Found::default() });
    assert_eq!((figures(&device), ranges(&device)), ([2, 0, 0, 0], vec![(3, 3), (5, 5)]));
    assert_eq!(hear(&mut device, &[5], 300), Found { late: 1, ..Found::default() });
    assert_eq!((figures(&device), ranges(&device)), ([1, 1, 0, 0], vec![(3, 3)]));
}

#[test]
fn a_number_that_comes_again_is_a_repeat_and_a_message_that_does_is_none() {
    let mut device = Continuity::default();
    hear(&mut device, &[10, 11, 12, 12, 11], 0);
    assert_eq!(figures(&device), [0, 0, 2, 0]);
    let redelivered = [11, 12].map(|seq| Message { is_new: false, ..message(seq, 2) });
    device.hear(&heard(redelivered), 0, &RULES);
    // A heartbeat may have the number of the reading before it.
    device.hear(&heard([Message { is_reading: false, ..message(12, 20) }]), 0, &RULES);
    assert_eq!(figures(&device), [0, 0, 2, 0]);
    device.hear(&heard([message(13, 21), message(13, 22), message(13, 23)]), 0, &RULES);
    assert_eq!(figures(&device), [0, 0, 4, 0]);
}

#[test]
fn a_counter_that_begins_again_is_a_reset_and_no_gap() {
    let mut device = Continuity::default();
    hear(&mut device, &(1..=50).collect::<Vec<_>>(), 0);
    hear(&mut device, &[1, 2, 3], 100);
    assert_eq!((figures(&device), device.numbering.last), ([0, 0, 0, 1], 3));
    // Also where the first messages were lost, and at the end of the counter.
    hear(&mut device, &(4..=60).collect::<Vec<_>>(), 200);
    hear(&mut device, &[3, 4], 300);
    hear(&mut device, &[65_534, 65_535, 0, 1], 400);
    assert_eq!((figures(&device)[3], device.numbering.last), (3, 1));
    // What another replica has heard before the reset is of the count before.
    device.hear(&heard([message(65_533, 350)]), 500 * S, &RULES);
    assert_eq!(device.numbering.last, 1);
}

#[test]
fn a_jump_too_long_to_be_a_gap_is_a_counter_that_was_set() {
    let mut device = Continuity::default();
    hear(&mut device, &[1, 2, 3, 4_000_000_000, 4_000_000_001], 0);
    assert_eq!((figures(&device), ranges(&device)), ([0, 0, 0, 1], vec![]));
    // And back: one message with a number out of the way costs two resets.
    hear(&mut device, &[4, 5], 100);
    assert_eq!((figures(&device), device.numbering.last), ([0, 0, 0, 2], 5));
}

#[test]
fn numbers_that_are_no_counter_say_nothing() {
    let mut device = Continuity::default();
    // Seconds since the start, of a heartbeat and a reading each.
    let seconds: Vec<i64> = (1..200).flat_map(|step| [step * 5, step * 5]).collect();
    hear(&mut device, &seconds, 0);
    hear(&mut device, &[5, 10, 15, 20], 500);
    assert_eq!((figures(&device), ranges(&device), device.numbering.counts()), ([0; 4], vec![], false));
    // One that comes to count is assessed from then on.
    hear(&mut device, &[21, 22, 25], 700);
    assert_eq!(figures(&device), [2, 0, 0, 0]);
}

#[test]
fn a_device_that_is_set_back_to_some_number_is_followed_after_a_while() {
    let mut device = Continuity::default();
    hear(&mut device, &(1..=900).collect::<Vec<_>>(), 0);
    hear(&mut device, &(500..=700).collect::<Vec<_>>(), 1_000);
    let [missing, _, repeats, _] = figures(&device);
    assert_eq!((missing, device.numbering.last), (0, 700));
    assert!(repeats < 40, "{repeats}");
}

#[test]
fn messages_without_a_number_are_heard_and_not_assessed() {
    let mut device = Continuity::default();
    hear(&mut device, &[0, 0, -5, 0], 0);
    assert_eq!((figures(&device), device.numbering.first, device.last_seen_us), ([0; 4], 0, Some(3 * S)));
}

#[test]
fn a_device_that_loses_every_other_message_fills_a_bounded_record() {
    let mut device = Continuity::default();
    hear(&mut device, &[1, 2, 3, 4, 5], 0);
    let odd: Vec<i64> = (3..200).map(|half| half * 2 + 1).collect();
    for (place, seq) in odd.iter().enumerate() {
        device.hear(&heard([message(*seq, 10 + place as i64)]), 10 * S, &RULES);
        // As far as every other one still follows, it counts.
        device.numbering.steps = 32;
    }
    assert_eq!(ranges(&device).len(), 64);
    hear(&mut device, &[400, 401], 900);
    assert_eq!(figures(&device)[0], 197);
}

#[test]
fn too_many_different_numbers_between_two_flushes_say_nothing() {
    let mut device = Continuity::default();
    hear(&mut device, &[1, 2, 3], 0);
    let strange: Vec<Message> = (1..=600).map(|step| message(step * 7 % 601 * 3, 10 + step)).collect();
    device.hear(&heard(strange), 700 * S, &RULES);
    assert_eq!((figures(&device), ranges(&device)), ([0; 4], vec![]));
}

#[test]
fn the_usual_interval_is_that_between_bursts_and_outages_hardly_change_it() {
    let mut regular = Cadence::default();
    (0..7).for_each(|_| regular.observe(10 * S, 1));
    assert_eq!(regular.usual_us(), None);
    regular.observe(10 * S, 1);
    assert_eq!(regular.usual_us(), Some(10 * S));
    regular.observe(86_400 * S, 1);
    assert!(regular.usual_us().unwrap() < 20 * S);
    regular.observe(10 * S, 500);
    assert!((9 * S..12 * S).contains(&regular.usual_us().unwrap()));

    let mut bursts = Cadence::default();
    for _ in 0..50 {
        (0..9).for_each(|_| bursts.observe(S / 10, 1));
        bursts.observe(3_600 * S, 1);
    }
    let limits = Limits { most_us: i64::MAX, ..RULES.limits };
    assert!(limits.silent_after_us(bursts).unwrap() > 2 * 3_600 * S);

    let mut slower = regular;
    (0..40).for_each(|_| slower.observe(600 * S, 1));
    assert!((590 * S..=600 * S).contains(&slower.usual_us().unwrap()));
}

#[test]
fn silence_begins_after_some_usual_intervals_within_bounds() {
    let of = |usual_s: i64| Cadence { usual_us: usual_s * S, intervals: 8 };
    let after_s = |usual_s| RULES.limits.silent_after_us(of(usual_s)).map(|us| us / S);
    assert_eq!([1, 100, 20_000, 86_400].map(after_s), [60, 500, 86_400, 172_800].map(Some));
    assert_eq!(RULES.limits.silent_after_us(Cadence { intervals: 7, ..of(10) }), None);
}

#[test]
fn nobody_is_silent_of_whom_not_everything_was_seen() {
    let cadence = Cadence { usual_us: 10 * S, intervals: 8 };
    let assess = |seen_s: (i64, i64)| RULES.limits.assess(cadence, 100 * S, (seen_s.0 * S, seen_s.1 * S));
    assert_eq!(assess((0, 159)), Assessment::NotBefore(160 * S));
    assert_eq!(assess((0, 160)), Assessment::SilentSince(160 * S));
    // An outage ended at 500: what was sent meanwhile had no way in.
    assert_eq!(assess((500, 559)), Assessment::NotBefore(560 * S));
    assert_eq!(assess((500, 560)), Assessment::SilentSince(160 * S));
    assert_eq!(RULES.limits.assess(Cadence::default(), 0, (0, i64::MAX)), Assessment::Unknown);
}

#[test]
fn the_moment_to_look_at_a_device_changes_only_now_and_then_and_its_return_is_kept() {
    let mut device = Continuity::default();
    let mut moments = Vec::new();
    for seconds in (0..400).step_by(10) {
        device.hear(&heard([message(0, seconds)]), seconds * S, &RULES);
        moments.extend(device.silence.due_us);
    }
    assert!(moments.is_sorted());
    moments.dedup();
    assert!((8..=16).contains(&moments.len()), "{}", moments.len());

    device.silence.since_us = Some(450 * S);
    device.hear(&heard([message(0, 380)]), 500 * S, &RULES);
    assert_eq!(device.silence.returned_us, None, "an old message of another replica's");
    device.hear(&heard([message(0, 500), message(0, 510)]), 511 * S, &RULES);
    device.hear(&heard([message(0, 520)]), 521 * S, &RULES);
    assert_eq!(device.silence.returned_us, Some(510 * S));
}

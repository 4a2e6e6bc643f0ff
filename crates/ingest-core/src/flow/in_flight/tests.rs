use super::{InFlight, Window};

fn table() -> InFlight<&'static str> {
    InFlight::new(Window { messages: 3, bytes: 100 })
}

#[test]
fn a_slot_is_settled_exactly_once() {
    let mut table = table();
    let slot = table.admit("a", 10, 0);
    assert_eq!(table.settle(slot), Some("a"));
    assert_eq!(table.settle(slot), None);
    let reused = table.admit("b", 10, 0);
    assert_eq!(table.settle(slot), None, "an old number does not settle the slot's next delivery");
    assert_eq!(table.settle(reused), Some("b"));
    assert!(table.is_empty());
}

#[test]
fn credit_is_what_the_window_leaves() {
    let mut table = table();
    let a = table.admit("a", 60, 0);
    table.admit("b", 60, 0);
    assert_eq!(table.credit(), Window { messages: 1, bytes: 0 });
    table.settle(a);
    assert_eq!(table.credit(), Window { messages: 2, bytes: 40 });
}

#[test]
fn a_nacked_delivery_takes_credit_until_it_is_released() {
    let mut table = table();
    let a = table.admit("a", 10, 0);
    table.admit("b", 10, 50);
    assert_eq!(table.nack_overdue(100, 100), ["a"]);
    assert_eq!((table.len(), table.credit().messages), (1, 1));
    assert_eq!(table.settle(a), None);
    assert_eq!(table.credit(), Window { messages: 2, bytes: 90 });
}

#[test]
fn progress_is_reported_once_per_interval() {
    let mut table = table();
    table.admit("a", 1, 0);
    table.admit("b", 1, 90);
    assert_eq!(table.touch_due(100, 100).collect::<Vec<_>>(), [&"a"]);
    assert_eq!(table.touch_due(150, 100).count(), 0);
    assert_eq!(table.touch_due(200, 100).collect::<Vec<_>>(), [&"a", &"b"]);
}

#[test]
fn a_postponed_delivery_comes_back_under_a_new_number_and_keeps_its_credit() {
    let mut table = table();
    let first = table.admit("a", 10, 0);
    table.postpone(first, 50);
    assert_eq!((table.len(), table.credit()), (1, Window { messages: 2, bytes: 90 }));
    assert!(table.take_due(49).is_empty());
    let second = match table.take_due(50).as_slice() {
        [(slot, entry)] if **entry == "a" => *slot,
        other => panic!("{other:?}"),
    };
    assert!(table.take_due(60).is_empty());
    assert_eq!(table.settle(first), None, "the number of the attempt that failed");
    assert_eq!(table.get(second), Some(&"a"));
    assert_eq!(table.settle(second), Some("a"));
    assert_eq!(table.credit(), Window { messages: 3, bytes: 100 });
}

#[test]
fn a_postponed_delivery_releases_its_credit_at_once_when_nacked() {
    let mut table = table();
    let a = table.admit("a", 10, 0);
    let b = table.admit("b", 10, 0);
    table.postpone(a, 50);
    assert_eq!(table.nack_all(), ["a", "b"]);
    assert_eq!(table.credit(), Window { messages: 2, bytes: 90 });
    table.postpone(b, 50);
    assert_eq!(table.credit(), Window { messages: 3, bytes: 100 }, "nacked before: it is freed");
    assert!(table.take_due(100).is_empty() && table.is_empty());
}

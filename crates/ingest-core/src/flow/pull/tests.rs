use super::{Limits, Pulls, Request};
use crate::flow::in_flight::Window;
use crate::flow::pull_status::RequestLimit;

const AMPLE: usize = 1 << 40;

fn limits() -> Limits {
    Limits { messages: 10, open_bytes: 1_000, message_bytes: 100, request_bytes: None, requests: 2 }
}

fn credit(messages: usize) -> Window {
    Window { messages, bytes: AMPLE }
}

fn asked(request: Option<Request>) -> Option<(usize, Option<usize>)> {
    request.map(|request| (request.messages, request.bytes))
}

#[test]
fn open_requests_never_exceed_the_credit_in_messages() {
    let mut pulls = Pulls::new(limits());
    assert_eq!(asked(pulls.next(credit(15), 1)), Some((10, Some(500))));
    assert_eq!(asked(pulls.next(credit(15), 1)), Some((5, Some(500))));
    assert_eq!(pulls.next(credit(100), 1), None, "two are enough");
    (0..12).for_each(|_| pulls.arrived(1));
    assert_eq!(pulls.next(credit(3), 1), None, "the credit is taken");
    assert_eq!(asked(pulls.next(credit(13), 1)), Some((10, Some(500))));
}

#[test]
fn open_requests_never_exceed_the_credit_nor_their_bound_in_bytes() {
    let mut pulls = Pulls::new(limits());
    let credit = |bytes| Window { messages: 100, bytes };
    assert_eq!(asked(pulls.next(credit(700), 1)), Some((10, Some(500))));
    assert_eq!(asked(pulls.next(credit(700), 1)), Some((10, Some(200))));
    pulls.clear();
    assert_eq!(asked(pulls.next(credit(550), 1)), Some((10, Some(500))));
    assert_eq!(pulls.next(credit(550), 1), None, "no room for any message");
}

#[test]
fn one_message_of_any_size_is_always_possible() {
    let mut pulls = Pulls::new(Limits { message_bytes: 5_000, ..limits() });
    assert_eq!(asked(pulls.next(credit(10), 1)), Some((10, Some(5_000))));
    assert_eq!(pulls.next(credit(100), 1), None, "a second one would exceed the bound");
    pulls.clear();
    assert_eq!(asked(pulls.next(Window { messages: 10, bytes: 1 }, 1)), Some((10, Some(5_000))));
    pulls.clear();
    assert_eq!(pulls.next(Window { messages: 10, bytes: 0 }, 1), None, "the window is full");
}

#[test]
fn a_message_larger_than_a_whole_request_is_asked_for_alone_and_without_a_bound() {
    let mut pulls = Pulls::new(Limits { request_bytes: Some(50), ..limits() });
    assert_eq!(asked(pulls.next(credit(10), 1)), Some((10, Some(50))));
    assert!(!pulls.too_small(1));
    assert_eq!(asked(pulls.next(credit(10), 1)), Some((1, None)));
    assert_eq!(pulls.next(credit(10), 1), None);
    pulls.arrived(90);
    assert_eq!(asked(pulls.next(credit(10), 1)), Some((1, None)), "the next one may be as large");
    assert!(pulls.too_small(3), "nothing is left to be tried");
    pulls.next(credit(10), 1);
    pulls.arrived(40);
    assert_eq!(asked(pulls.next(credit(10), 1)), Some((10, Some(50))));
}

#[test]
fn limits_that_the_server_names_are_obeyed() {
    let mut pulls = Pulls::new(limits());
    pulls.limit(|limits| assert!(limits.obey(RequestLimit::Messages(4))));
    pulls.limit(|limits| assert!(limits.obey(RequestLimit::Bytes(120))));
    pulls.limit(|limits| assert!(!limits.obey(RequestLimit::Bytes(120)), "known already"));
    assert_eq!(asked(pulls.next(credit(100), 1)), Some((4, Some(120))));
}

#[test]
fn ended_and_expired_requests_give_their_credit_back() {
    let mut pulls = Pulls::new(limits());
    pulls.next(credit(10), 100);
    pulls.ended(1);
    assert!(!pulls.is_open());
    pulls.next(credit(10), 100);
    pulls.expire(99);
    assert!(pulls.is_open());
    pulls.expire(100);
    assert!(!pulls.is_open());
}

#[test]
fn a_little_credit_is_enough_when_nothing_is_open() {
    let mut pulls = Pulls::new(limits());
    assert_eq!(asked(pulls.next(credit(1), 1)), Some((1, Some(500))));
    assert_eq!(pulls.next(credit(4), 1), None);
    assert_eq!(pulls.next(credit(0), 1), None);
}

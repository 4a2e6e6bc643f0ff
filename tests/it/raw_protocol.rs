//! Subjects and headers as only a hand-made client writes them: no UTF-8, no headers at all, the broker's own status lines. nats-server
//! checks none of it and delivers it as it came; no client library would send it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use fastrand::Rng;
use ingest_kit::envelope::{device, telemetry};
use ingest_kit::seed;
use ingest_kit::{MqttDevice, Node, wait_for};

use crate::ledger::InvariantChecker;
use crate::mqtt_lane;
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A message as bytes of NATS' protocol.
fn message(subject: &[u8], headers: Option<&[u8]>, body: &[u8]) -> Vec<u8> {
    let sizes = match headers {
        Some(headers) => format!("{} {}", headers.len(), headers.len() + body.len()),
        None => body.len().to_string(),
    };
    let operation: &[u8] = if headers.is_some() { b"HPUB " } else { b"PUB " };
    [operation, subject, b" ", sizes.as_bytes(), b"\r\n", headers.unwrap_or_default(), body, b"\r\n"].concat()
}

/// Sends bytes to a server without log-in, and returns when it has read them all.
fn send(port: u16, messages: &[Vec<u8>]) {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let mut writer = connection.try_clone().expect("the other half");
    let mut lines = BufReader::new(connection).lines();
    assert!(lines.next().expect("a greeting").expect("a line").starts_with("INFO "));
    writer.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").expect("it is sent");
    writer.write_all(&messages.concat()).expect("it is sent");
    writer.write_all(b"PING\r\n").expect("it is sent");
    assert_eq!(lines.next().expect("an answer").expect("a line"), "PONG");
}

/// Rejections that are counted, by reason.
async fn rejected(world: &World) -> Vec<(String, i64)> {
    let counters = "SELECT reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1 ORDER BY 1";
    world.database.query(counters, &[]).await.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The node still has its first connection, and nothing has come twice.
async fn has_lost_no_connection(node: &Node, received: u64) {
    let metrics = node.metrics().await;
    assert_eq!(metrics.count("ingest_nats_reconnects_total", &[]), 0, "{}", node.log());
    assert_eq!(metrics.count("ingest_actor_restarts_total", &[]), 0, "{}", node.log());
    assert_eq!(metrics.count("ingest_deliveries_received_total", &[]), received, "something came twice, or not at all");
    assert_eq!(node.ready_status().await, Some(200));
    assert!(!node.log().contains("consumer not bound"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_subject_and_no_header_ends_the_connection_or_passes_for_the_brokers_word() {
    let world = World::new().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let node = start(world.node()).await;
    let checker = InvariantChecker::of(&node);
    let good = telemetry(&device, 1);
    let subject = good.subject.as_bytes().to_vec();
    let in_subject = |name: &[u8]| message(&[b"telemetry.tenant-0.", name].concat(), None, &good.payload);
    let with = |headers: &[u8]| message(&subject, Some(headers), &good.payload);
    let in_both = |name: &[u8]| {
        message(&[b"telemetry.tenant-0.", name].concat(), Some(b"NATS/1.0\r\nA: b\r\n\r\n"), &good.payload)
    };
    let strange = [
        in_subject(b"\xff"),
        in_subject(b"a\xc3"),
        in_subject("a\u{a0}b".as_bytes()),
        in_both(b"\xff\xfe"),
        in_both("a\u{3000}b".as_bytes()),
        in_both("a\u{85}\u{2028}b".as_bytes()),
        in_both(b"a\x0bb\x0cc"),
        in_both(b"a\x00b"),
        with(b"NATS/1.0\r\nno colon\r\n\r\n"),
        with(b"NATS/1.0\r\nA: \xff\xfe\r\n\r\n"),
        with(b"NATS/1.0\r\nA b\xff: c\r\n: d\r\n\r\n"),
        with(b"NATS/1.0\r\n A: continued from nothing\r\n\r\n"),
        with(b"NATS/1.0\r\nA: x\ry\r\n\r\n"),
        with(b"NATS/1.0\r\nA: x\r\n y\rz\r\n\r\n"),
        with(b"NATS/1.0\r\nA: x\ny\r\n\r\n"),
        with(b"NATS/1.0\r\nA\r: x\r\n\r\r\n\r\n"),
        with(b"NATS/1.0 abc\r\n\r\n"),
        with(b"NATS/1.0\xff\r\n\r\n"),
        with(b"NATS/1.0 99999\r\n\r\n"),
        with(b"HTTP/1.1 200 OK\r\n\r\n"),
        with(b"\r\n\r\n"),
        with(b"NATS/1.0"),
        with(b"\n"),
        with(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"),
        with(b"NATS/1.0 404 No Messages\r\n\r\n"),
        with(b"NATS/1.0 408 Request Timeout\r\n\r\n"),
        with(b"NATS/1.0 409 Consumer Deleted\r\n\r\n"),
        with(b"NATS/1.0 409 Exceeded MaxRequestBatch of 1\r\n\r\n"),
        with(b"NATS/1.0 503\r\n\r\n"),
    ];
    let sent = strange.len() as u64;
    send(world.nats.port(), &strange);
    world.wait_settled(LANES[0], DEADLINE).await;
    world.publish([telemetry(&device, 2)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    checker.finish().await;
    has_lost_no_connection(&node, sent + 1).await;
    let of_subjects = 8;
    assert_eq!(
        world.database.count("raw_events WHERE accepted").await,
        sent + 1 - of_subjects,
        "headers do not matter"
    );
    assert_eq!(rejected(&world).await, [("SUBJECT_MISMATCH".to_owned(), of_subjects as i64)]);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_bytes_are_each_message_is_settled_once() {
    const SENT: usize = 3_000;
    let world = World::new().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let node = start(world.node()).await;
    let checker = InvariantChecker::of(&node);
    // Every run is the same.
    let mut random = Rng::with_seed(20_261_128);
    let good = telemetry(&device, 1);
    let messages: Vec<Vec<u8>> = (0..SENT)
        .map(|number| {
            let subject = [b"telemetry.tenant-0.", &any_subject(&mut random)[..]].concat();
            let headers = (number % 5 > 0).then(|| damaged_headers(&mut random));
            message(&subject, headers.as_deref(), &good.payload)
        })
        .collect();
    send(world.nats.port(), &messages);
    // Taken behind all of them.
    world.publish([telemetry(&device, 2)]).await;
    // What the stream has taken: the server refuses a header that it needs and can't read.
    let taken = world.jetstream.get_stream(LANES[0].0).await.expect("the stream").cached_info().state.messages;
    assert!(taken as usize > SENT / 2, "{taken}");
    world.wait_settled(LANES[0], 2 * DEADLINE).await;
    checker.finish().await;
    has_lost_no_connection(&node, taken).await;
    let rows = world.database.count("raw_events WHERE accepted").await;
    let counted: i64 = rejected(&world).await.iter().map(|(_, count)| count).sum();
    assert_eq!(rows + counted.unsigned_abs(), taken);
    drain(node).await;
}

/// Bytes that were a good header, with some of them changed.
fn damaged_headers(random: &mut Rng) -> Vec<u8> {
    let mut headers = b"NATS/1.0\r\nNats-Msg-Idx: a b\r\n c\r\nIngest-Replay: v1;x\r\nA:\r\n\r\n".to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..headers.len());
        match random.u8(..4) {
            0 => headers[at] = random.u8(..),
            1 => headers.insert(at, *b"\r\n :\xff\x00".get(random.usize(..6)).unwrap_or(&0)),
            2 => drop(headers.remove(at)),
            _ => headers.extend_from_within(at..),
        }
    }
    headers
}

/// The end of a subject: any bytes but those that end or divide what a client sends.
fn any_subject(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(1..40);
    std::iter::repeat_with(|| random.u8(..)).filter(|byte| !b" \t\r\n*>.".contains(byte)).take(length).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_topic_of_an_mqtt_client_ends_the_connection() {
    let (world, port) = mqtt_lane::mqtt_world().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let mut node = mqtt_lane::node(&world).start();
    mqtt_lane::publish(port, []);
    node.wait_ready(DEADLINE).await;
    let topics: [&[u8]; 10] = [
        b"tenant/tenant-0/device/dev-0000/\xff",
        b"tenant/tenant-0/device/\xc3(/telemetry",
        "tenant/tenant-0/device/dev-0000/te\u{3000}l".as_bytes(),
        "tenant/tenant-0/device/dev-0000/te\u{a0}l".as_bytes(),
        b"tenant/tenant-0/device/dev-0000/te\tl",
        b"tenant/tenant-0/device/dev-0000/te\x0b\x0cl",
        b"tenant/tenant-0/device/dev-0000/te\x01l",
        b"tenant/tenant-0/device/dev-0000/te\rl",
        b"tenant/tenant-0/device/dev-0000/te\nl",
        b"tenant/tenant-0/device/dev-0000/te\r\nl",
    ];
    // Newer servers refuse some of them, and end the client's connection.
    let taken = tokio::task::block_in_place(|| {
        let takes = |(number, topic): &(usize, &&[u8])| {
            let mut client = MqttDevice::connect(port, &format!("strange-{number}"), None).expect("a connection");
            client.publish([(topic, b"{}".to_vec())], |_| ()).is_ok()
        };
        topics.iter().enumerate().filter(takes).count()
    });
    assert!(taken >= 3, "only {taken}");
    mqtt_lane::wait_settled(&world).await;
    mqtt_lane::publish(port, [mqtt_lane::message(&device, "telemetry", &ingest_kit::envelope::payload(&device, 1))]);
    mqtt_lane::wait_settled(&world).await;
    has_lost_no_connection(&node, taken as u64 + 1).await;
    assert_eq!(world.database.count("raw_events WHERE accepted").await, 1);
    assert_eq!(rejected(&world).await, [("MISSING_SITE_ID".to_owned(), taken as i64)]);
    drain(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_fill_the_window_as_payloads_do() {
    const SENT: u64 = 1_000;
    let mut world = World::with_own_postgres().await;
    let device = device(0, 1);
    seed::devices(&world.database, std::slice::from_ref(&device)).await;
    let node = start(world.node()).await;
    // The device is known from here on.
    world.publish([telemetry(&device, 2)]).await;
    world.wait_settled(LANES[0], DEADLINE).await;
    world.postgres.as_mut().expect("its own").kill();
    let good = telemetry(&device, 1);
    let headers = format!("NATS/1.0\r\nIngest-Replay: {}\r\n\r\n", "x".repeat(60 * 1024)); // JetStream takes 64 KiB
    let large = message(good.subject.as_bytes(), Some(headers.as_bytes()), &good.payload);
    send(world.nats.port(), &vec![large; SENT as usize]);
    let window = async || {
        let metrics = node.metrics().await;
        let of = [("consumer", LANES[0].1)];
        (metrics.count("ingest_in_flight", &of), metrics.count("ingest_window_bytes", &of))
    };
    wait_for("a full window", DEADLINE, async || window().await.1 > 31 * 1024 * 1024).await;
    let (in_flight, bytes) = window().await;
    assert!(bytes < 40 * 1024 * 1024, "{in_flight} of {SENT} are held, {bytes} bytes");
    world.postgres.as_mut().expect("its own").start_again();
    world.wait_settled(LANES[0], 3 * DEADLINE).await;
    assert_eq!(world.database.count("raw_events WHERE accepted").await, SENT + 1);
    drain(node).await;
}

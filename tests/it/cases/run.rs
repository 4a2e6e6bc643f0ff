//! Publishes cases and notes what became of every message.

use std::collections::BTreeMap;

use ingest_kit::{seed, wait_for};
use tokio_postgres::Client;

use super::format::{Case, Expect, Message, Settings};
use super::message::{self, Verdict};
use super::{after, count, switch};
use crate::world::{DEADLINE, LANES, World, drain, start};

/// A message that was published, and what became of it.
pub(super) struct Settled<'a> {
    pub expect: &'a Expect,
    pub stream: &'static str,
    pub sequence: u64,
    /// The broker's timestamp in nanoseconds.
    pub broker_ns: i128,
    pub verdict: Verdict,
    /// There is a `POINT_REFUSED` event beside the row.
    pub point_refused: bool,
}

/// A case that has been run.
pub(super) struct Run<'a> {
    pub case: &'a Case,
    pub messages: Vec<Settled<'a>>,
    /// Rejections that were counted although no message was rejected so.
    pub odd_counts: Vec<String>,
}

/// Runs all cases of a kind, those of equal settings against one node, and fails with all differences.
pub(super) async fn all_of_kind(kind: &str) {
    let cases = Case::load(kind);
    let mut groups: BTreeMap<&Settings, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        groups.entry(&case.settings).or_default().push(case);
    }
    let mut differences = Vec::new();
    for (settings, cases) in groups {
        differences.extend(group(settings, &cases).await);
    }
    let failed = differences.iter().filter(|line| !line.starts_with(' ')).count();
    assert!(differences.is_empty(), "{failed} of {} cases differ:\n{}", cases.len(), differences.join("\n"));
}

async fn group(settings: &Settings, cases: &[&Case]) -> Vec<String> {
    let world = World::with_types_per_series().await;
    for case in cases {
        seed::subscriptions(&world.database, &case.subscriptions).await;
        seed::devices(&world.database, &case.registry).await;
        seed::routes(&world.database, &case.routes).await;
    }
    let mut node = world.node();
    for (name, value) in [("REQUIRE_TOKEN", "1"), ("CERT_AUTH_ENABLED", "1"), ("AUTO_PROVISION", "0")] {
        node = node.env(name, value);
    }
    for (name, value) in &settings.env {
        node = node.env(name, value);
    }
    let node = start(node).await;
    if !settings.app.is_empty() {
        switch::apply(&world, &settings.app).await;
    }

    let client = world.database.connect().await;
    let mut runs = Vec::new();
    for case in cases {
        let mut run = Run { case, messages: Vec::new(), odd_counts: Vec::new() };
        for step in case.steps() {
            publish_step(&world, &client, step, &mut run).await;
        }
        runs.push(run);
    }

    // What is not part of any acknowledgement may still be under way: points, and what they lead to.
    wait_for("all lines to be confirmed", DEADLINE, async || {
        node.metrics().await.count("ingest_influx_unconfirmed_lines", &[]) == 0
    })
    .await;
    drain(node).await;

    let jobs = after::route_jobs(&world).await;
    let mut differences = Vec::new();
    for run in &mut runs {
        for settled in &mut run.messages {
            settled.point_refused = is_point_refused(&client, settled).await;
        }
        let mut of_case = std::mem::take(&mut run.odd_counts);
        for settled in &run.messages {
            of_case.extend(message::differences(&world, &client, run.case, settled).await);
        }
        of_case.extend(after::differences(&world, &client, run, &jobs).await);
        if !of_case.is_empty() {
            differences.push(format!("{}: {}", run.case.id, run.case.title));
            differences.extend(of_case.iter().map(|difference| format!("    {difference}")));
        }
    }
    differences.extend(after::leaked_tokens(&world, cases, &jobs).await);
    assert_eq!(world.influx.counts().poison_lines, 0, "lines that break a real server");
    assert_eq!(world.influx.counts().untimed_lines, 0, "lines without a time of their own");
    differences
}

/// Publishes messages together, waits until they are settled and looks up what became of each.
async fn publish_step<'a>(world: &World, client: &Client, step: Vec<Message<'a>>, run: &mut Run<'a>) {
    let before = count::read(client).await;
    let sequences = world.publish(step.iter().map(|message| message.outgoing.clone())).await;
    let mut settled = Vec::new();
    for (message, sequence) in step.iter().zip(sequences) {
        let lane = lane_of(&message.outgoing.subject);
        world.wait_settled(lane, DEADLINE).await;
        let stream = world.jetstream.get_stream(lane.0).await.expect("the lane's stream");
        let broker_ns = stream.get_raw_message(sequence).await.expect("the message").time.unix_timestamp_nanos();
        // At once: what is acknowledged is durable.
        let verdict = message::stored_verdict(client, lane.0, sequence).await;
        let expect = message.expect;
        settled.push(Settled { expect, stream: lane.0, sequence, broker_ns, verdict, point_refused: false });
    }
    run.odd_counts.extend(count::assign(client, &before, &mut settled).await);
    run.messages.extend(settled);
}

/// The lane that a subject belongs to.
fn lane_of(subject: &str) -> (&'static str, &'static str) {
    let first = subject.split('.').next().unwrap_or_default().to_uppercase();
    LANES.into_iter().find(|(stream, _)| *stream == first).unwrap_or_else(|| panic!("no lane for {subject}"))
}

async fn is_point_refused(client: &Client, settled: &Settled<'_>) -> bool {
    let sql =
        "SELECT count(*) FROM quarantine_events WHERE stream = $1 AND stream_seq = $2 AND reason = 'POINT_REFUSED'";
    let rows = client.query_one(sql, &[&settled.stream, &(settled.sequence as i64)]).await.expect("the events");
    rows.get::<_, i64>(0) > 0
}

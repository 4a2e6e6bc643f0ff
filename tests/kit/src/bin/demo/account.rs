//! The account: what the simulations have sent beside what is there in the end, by way in.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use ingest_kit::Database;
use serde::Deserialize;

use crate::WAYS;

/// The last line of `ingest-node simulate`.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    via: String,
    pub published: u64,
    accepted: u64,
    rejected: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
}

/// What is there in the end.
pub(crate) struct Found {
    /// Rows by what the device's id begins with, in the order of [`WAYS`].
    rows: Vec<u64>,
    /// Different points, likewise.
    points: Vec<u64>,
    rejected: BTreeMap<String, u64>,
}

impl Found {
    pub(crate) async fn read(database: &Database, files: &Path) -> Self {
        let sql = "SELECT reason, sum(cnt)::bigint FROM quarantine_counters_minute GROUP BY 1";
        let counters = database.query(sql, &[]).await;
        let points = points(files);
        let mut found = Self {
            rows: Vec::new(),
            points: Vec::new(),
            rejected: counters.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as u64)).collect(),
        };
        for (_, prefix) in WAYS {
            found.rows.push(database.count(&format!("raw_events WHERE starts_with(device_id, '{prefix}')")).await);
            let tag = format!(",device_id={prefix}");
            found.points.push(points.iter().filter(|line| line.contains(&tag)).count() as u64);
        }
        found
    }

    /// Prints the results beside what the simulations expect, and returns whether they are the same.
    pub(crate) fn compare(&self, sent: &[Sent]) -> bool {
        let mut balanced = true;
        let mut figure = |is: u64, expected: u64| {
            balanced &= is == expected;
            if is == expected { format!("{is}") } else { format!("{is}, not {expected}") }
        };
        println!(
            "{:<12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "way in", "sent", "refused", "published", "rejected", "rows", "points"
        );
        for (index, (via, _)) in WAYS.iter().enumerate() {
            let Some(of) = sent.iter().find(|sent| sent.via == *via) else {
                println!("{via}: nothing was sent");
                return false;
            };
            let (refused, rejected): (u64, u64) = (of.refused.values().sum(), of.rejected.values().sum());
            println!(
                "{via:<12}{:>12}{refused:>12}{:>12}{:>12}{:>12}{:>12}",
                of.published + refused,
                of.published,
                rejected,
                figure(self.rows[index], of.accepted),
                figure(self.points[index], of.accepted),
            );
        }
        println!("\nrejected by the pipeline, by reason");
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in sent.iter().flat_map(|sent| &sent.rejected) {
            *expected.entry(reason).or_default() += count;
        }
        let reasons: HashSet<&str> = self.rejected.keys().map(String::as_str).chain(expected.keys().copied()).collect();
        let mut reasons: Vec<&str> = reasons.into_iter().collect();
        reasons.sort_unstable();
        for reason in reasons {
            let is = self.rejected.get(reason).copied().unwrap_or(0);
            println!("    {reason:<38}{:>9}", figure(is, expected.get(reason).copied().unwrap_or(0)));
        }
        balanced
    }
}

/// The different points of all files: a line that was written again is still the same point.
fn points(dir: &Path) -> HashSet<String> {
    let entries = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries(dir.to_owned())
        .flat_map(|database| {
            let name = database.file_name().to_string_lossy().into_owned();
            entries(database.path()).map(move |file| (name.clone(), file.path()))
        })
        .filter_map(|(name, file)| Some((name, BufReader::new(std::fs::File::open(file).ok()?))))
        .flat_map(|(name, file)| file.lines().map_while(Result::ok).map(move |line| format!("{name} {line}")))
        .filter(|line| line.contains(','))
        .collect()
}

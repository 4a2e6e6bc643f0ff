//! The answer as text or JSON.

use std::fmt::Write;

use serde::Serialize;

use ingest_core::explain::{Facts, Fate, Step, steps, summary};

/// A step, for programs.
#[derive(Serialize)]
struct JsonStep {
    /// ISO 8601, UTC; null: now.
    at: Option<String>,
    source: &'static str,
    text: String,
}

/// The answer, for programs.
#[derive(Serialize)]
struct Answer {
    fate: &'static str,
    stream: Option<String>,
    stream_seq: Option<u64>,
    steps: Vec<JsonStep>,
    /// Who could not be asked.
    unknown: Vec<&'static str>,
    sentence: String,
}

/// A line for each step, and the sentence.
pub(super) fn text(facts: &Facts, fate: Fate) -> String {
    let mut page = String::new();
    for step in steps(facts) {
        // Writing to a String never fails.
        let _ = writeln!(page, "{:<27}  {:<10}  {}", step.when(), step.source.as_str(), step.text);
    }
    page + &summary(facts, fate) + "\n"
}

/// One JSON object on one line.
///
/// # Errors
/// Never in practice: the answer is plain text and numbers.
pub(super) fn json(facts: &Facts, fate: Fate) -> Result<String, serde_json::Error> {
    let step =
        |step: Step| JsonStep { at: step.at_us.map(|_| step.when()), source: step.source.as_str(), text: step.text };
    let mut unknown: Vec<&str> = facts.unknown.iter().map(|unknown| unknown.source.as_str()).collect();
    unknown.dedup();
    let answer = Answer {
        fate: fate.as_str(),
        stream: facts.place.as_ref().map(|(stream, _)| stream.clone()),
        stream_seq: facts.place.as_ref().map(|(_, seq)| *seq),
        steps: steps(facts).into_iter().map(step).collect(),
        unknown,
        sentence: summary(facts, fate),
    };
    Ok(serde_json::to_string(&answer)? + "\n")
}

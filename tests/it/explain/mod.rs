//! `explain`: what became of one message. Each fate is asked for between real servers.
//!
//! - `stored`: rows, and where their points are. `rejected`: the quarantine, counters, reprocessing. `waiting`: what is not settled,
//!   and what is no longer, or not yet, in its stream. `side_lanes`: shadow reports, acknowledgements, the server's own MQTT.
//! - `arguments`: exit codes, servers that are away. `documentation`: the page that operators read.

mod arguments;
mod documentation;
mod rejected;
mod side_lanes;
mod stored;
mod waiting;

use ingest_kit::NodeBuilder;
use serde_json::Value;

use crate::world::{DEADLINE, World};

/// An answer.
#[derive(Debug)]
pub(crate) struct Explained {
    /// The exit code.
    pub code: i32,
    /// The fate's code.
    pub fate: String,
    /// The last line.
    pub sentence: String,
    /// Source and text of each step.
    pub steps: Vec<(String, String)>,
}

impl Explained {
    /// Checks the fate, the exit code that goes with it, and that the sentence says all of this.
    #[track_caller]
    pub(crate) fn assert(&self, fate: &str, code: i32, said: &[&str]) {
        assert_eq!((self.fate.as_str(), self.code), (fate, code), "{self:?}");
        for said in said {
            assert!(self.sentence.contains(said), "{} does not say {said}", self.sentence);
        }
    }

    /// Checks that a step of this source says this.
    #[track_caller]
    pub(crate) fn assert_step(&self, source: &str, said: &str) {
        let is_said = self.steps.iter().any(|(of, text)| of == source && text.contains(said));
        assert!(is_said, "no step of {source} says {said}: {self:#?}");
    }
}

/// Asks a node's program with `--json`.
pub(crate) async fn explain_by(node: NodeBuilder, arguments: &[&str]) -> Explained {
    let finished = node.arguments(&[&["explain", "--json"], arguments].concat()).run_to_end(DEADLINE).await;
    let answer: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|e| panic!("{e}: {:?} {}{}", finished.code, finished.stdout, finished.stderr));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = answer["steps"].as_array().expect("steps");
    Explained {
        code: finished.code.expect("an exit code"),
        fate: text(&answer["fate"]),
        sentence: text(&answer["sentence"]),
        steps: steps.iter().map(|step| (text(&step["source"]), text(&step["text"]))).collect(),
    }
}

impl World {
    /// Asks about a message.
    pub(crate) async fn explain(&self, arguments: &[&str]) -> Explained {
        explain_by(self.node(), arguments).await
    }

    /// Asks about a message by its place.
    pub(crate) async fn explain_at(&self, stream: &str, seq: u64) -> Explained {
        self.explain(&["--stream", stream, "--seq", &seq.to_string()]).await
    }

    /// As text: the last line and the others.
    pub(crate) async fn explain_as_text(&self, arguments: &[&str]) -> (String, Vec<String>) {
        let finished = self.node().arguments(&[&["explain"], arguments].concat()).run_to_end(DEADLINE).await;
        let mut lines: Vec<String> = finished.stdout.lines().map(str::to_owned).collect();
        (lines.pop().expect("a sentence"), lines)
    }
}

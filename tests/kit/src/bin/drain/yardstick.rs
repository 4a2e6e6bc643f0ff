//! A run of the yardstick: the least work that could do the main job.

use std::io::Read;
use std::process::{Command, Stdio};

use ingest_kit::procfs;
use serde_json::Value;

use crate::cases::Routes;
use crate::measure::Run;
use crate::stub::Guard;
use crate::{Bench, LOOK_EVERY};

impl Bench {
    /// Drains the stream with it.
    pub(crate) async fn run_yardstick(&self) -> Run {
        self.reset(Routes::None).await;
        let child = Command::new(&self.yardstick)
            .args([&self.nats.url(), self.database.url(), &self.messages.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", self.yardstick.display()));
        let mut child = Guard(child);
        let mut peak_rss = 0;
        while child.0.try_wait().expect("the yardstick's status").is_none() {
            peak_rss = peak_rss.max(procfs::peak_rss_bytes(child.0.id()).unwrap_or_default());
            tokio::time::sleep(LOOK_EVERY).await; // polls until it has ended
        }
        let mut output = String::new();
        child.0.stdout.take().expect("its output").read_to_string(&mut output).expect("its output");
        let output: Value = serde_json::from_str(&output).unwrap_or_else(|e| panic!("not JSON ({e}): {output}"));
        assert_eq!(output["rows"].as_u64(), Some(self.messages), "{output}");
        let number = |key: &str| output[key].as_f64().unwrap_or_else(|| panic!("no {key} in {output}"));
        Run {
            per_second: number("per_second"),
            cpu_us_per_message: number("cpu_us_per_message"),
            peak_rss,
            rss: 0,
            to_first_ack: None,
            to_all_cached: None,
        }
    }
}

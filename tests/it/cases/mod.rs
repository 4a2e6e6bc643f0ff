//! The public cases of `tests/cases`, whose README says what their keys mean.
//!
//! - `format`: a case as it is written down.
//! - `run`: publishes the messages of all cases of one kind, each settled before the next, and notes every verdict.
//! - `count`: which rejections were counted, and for whom.
//! - `message`, `after`: what a case expects of one message, and of the tables, points and jobs in the end.
//! - `exact`: JSON whose numbers are compared exactly. `switch`: settings that change while a node runs.

mod after;
mod count;
mod exact;
mod format;
mod message;
mod run;
mod switch;

macro_rules! kinds {
    ($($kind:ident)*) => {
        /// One test per kind, so that progress shows.
        mod every_public_case_holds_of_kind {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $kind() {
                super::run::all_of_kind(stringify!($kind)).await;
            })*
        }

        const KINDS: &[&str] = &[$(stringify!($kind)),*];
    };
}

kinds! {
    auto_provision cert commands envelope fields ingest json line_protocol location mapping metrics numbers order parse_ts
    payload payload_filter rate_limit registry route_job sensor_inference sensors seq settings shadow site size strings
    tags tenant time token topic_extract topic_match types version
}

#[test]
fn every_file_of_cases_has_a_test() {
    let mut files: Vec<String> = std::fs::read_dir(format::DIR)
        .expect("tests/cases")
        .filter_map(|entry| entry.expect("an entry").file_name().to_str()?.strip_suffix(".jsonl").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, KINDS);
}

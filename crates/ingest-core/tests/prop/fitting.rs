use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use influxdb_line_protocol::parse_lines;
use ingest_core::influx::field_budget::FieldBudget;
use ingest_core::influx::field_types::{Conflict, FieldType};
use ingest_core::influx::fitting::{Fitted, Fitting};
use ingest_core::influx::line_protocol::{self, FieldValue, Kind, Tags};
use proptest::prelude::*;

const TYPES: [FieldType; 5] =
    [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::Boolean, FieldType::Other];

/// What a server may say or do between two lines.
#[derive(Clone, Debug)]
enum Step {
    /// It refuses a value for its column's type.
    Conflict(usize, usize),
    /// It refuses a line for want of columns, and judges the trials by these.
    Full(Vec<bool>),
    /// It tells its columns.
    Told(Vec<usize>),
    /// Its database is gone.
    Gone,
    /// Time passes.
    Later(u64),
}

const NAMES: [&str; 8] = ["a", "b c", "d,e", "f=g", "h\\i", "fam::x", "fam::y", "größe"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..NAMES.len(), 0..TYPES.len()).prop_map(|(name, kind)| Step::Conflict(name, kind)),
        prop::collection::vec(any::<bool>(), NAMES.len()).prop_map(Step::Full),
        prop::collection::vec(0..NAMES.len(), 0..NAMES.len()).prop_map(Step::Told),
        Just(Step::Gone),
        (0..200_u64).prop_map(Step::Later),
    ];
    prop::collection::vec(step, 0..20)
}

fn line(names: &BTreeSet<usize>) -> String {
    let mut line = String::new();
    line_protocol::begin(&mut line, Kind::Telemetry, Tags::new("d 1", "s"), 7);
    for &name in names {
        let value = if name % 2 == 0 { FieldValue::Float("2.5") } else { FieldValue::Integer("3") };
        line_protocol::field(&mut line, NAMES[name], value);
    }
    assert!(line_protocol::end(&mut line, 9));
    line
}

/// Table and tags, the names of the fields, the time.
fn parsed(line: &str) -> (String, Vec<String>, Option<i64>) {
    let line = parse_lines(line).next().unwrap().unwrap();
    (line.series.to_string(), line.field_set.iter().map(|(key, _)| key.to_string()).collect(), line.timestamp)
}

fn take(fitting: &mut Fitting, line: &str, step: Step, now: &mut Instant) {
    match step {
        Step::Conflict(name, kind) => {
            let conflict = Conflict { table: None, column: NAMES[name].to_owned(), expected: TYPES[kind] };
            fitting.columns.conflict("telemetry", conflict, *now);
        }
        Step::Full(are_there) => {
            for (trial, is_there) in fitting.columns.trials(line, *now).into_iter().zip(are_there) {
                if is_there {
                    fitting.columns.there(&trial, *now);
                } else {
                    fitting.columns.missing(&trial, *now);
                }
            }
        }
        Step::Told(names) => fitting.budget.answered(names.into_iter().map(|name| NAMES[name]), *now),
        Step::Gone => fitting.columns.clear(),
        Step::Later(secs) => *now += Duration::from_secs(secs),
    }
}

proptest! {
    #[test]
    fn whatever_the_server_refuses_a_point_keeps_its_seq_and_only_fields_of_its_own(
        names in prop::collection::btree_set(0..NAMES.len(), 0..NAMES.len()),
        most in 0..6_usize,
        is_sole in any::<bool>(),
        steps in steps(),
    ) {
        let line = line(&names);
        let (series, all, time) = parsed(&line);
        let mut now = Instant::now();
        let mut fitting = Fitting::new(FieldBudget::new(most, is_sole, Some(now)), Duration::from_secs(60));
        for step in steps {
            take(&mut fitting, &line, step, &mut now);
            let mut fitted = fitting.fit(&line, now);
            if fitted == Fitted::Ask {
                fitting.budget.answered([], now);
                fitted = fitting.fit(&line, now);
            }
            let (kept, skipped) = match fitted {
                Fitted::AsIs => (parsed(&line), Vec::new()),
                Fitted::Changed { line, skipped } => (parsed(&line), skipped),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!((&kept.0, kept.2), (&series, time));
            prop_assert_eq!(kept.1.first().map(String::as_str), Some("seq"));
            let left_out: BTreeSet<_> = skipped.into_iter().map(|(column, _)| column).collect();
            let expected: Vec<_> = all.iter().filter(|name| !left_out.contains(*name)).cloned().collect();
            prop_assert_eq!(&kept.1, &expected, "what is left out is told, and nothing else is");
            for trial in fitting.take_due() {
                let (of, fields, at) = parsed(&trial.line);
                prop_assert_eq!((of, at), (series.clone(), time));
                prop_assert_eq!(fields, ["seq".to_owned(), trial.column]);
            }
        }
    }

    #[test]
    fn no_more_names_than_the_budget_pass_whatever_their_order(
        lines in prop::collection::vec(prop::collection::btree_set(0..NAMES.len(), 0..NAMES.len()), 1..20),
        most in 1..6_usize,
    ) {
        let now = Instant::now();
        let mut fitting = Fitting::new(FieldBudget::new(most, true, None), Duration::from_secs(60));
        let mut passed = BTreeSet::new();
        for names in lines {
            let line = line(&names);
            let kept = match fitting.fit(&line, now) {
                Fitted::AsIs => line,
                Fitted::Changed { line, .. } => line,
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            let kept = parsed(&kept).1;
            passed.extend(kept.into_iter().filter(|name| name != "seq"));
        }
        prop_assert!(passed.len() <= most, "{passed:?}");
    }
}

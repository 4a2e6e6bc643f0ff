use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use influxdb_line_protocol::parse_lines;
use ingest_core::influx::coercion::{Coerced, Coercion};
use ingest_core::influx::field_budget::FieldBudget;
use ingest_core::influx::field_types::{Conflict, FieldType};
use ingest_core::influx::line_protocol::{self, FieldValue, Kind, Tags};
use proptest::prelude::*;

const TYPES: [FieldType; 5] =
    [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::Boolean, FieldType::Other];

/// An answer or a change of the server between two lines.
#[derive(Clone, Debug)]
enum Step {
    /// It rejects a value for its column's type.
    Conflict(usize, usize),
    /// It rejects a line for lack of columns, and answers the trials like this.
    Full(Vec<bool>),
    /// It lists its columns.
    Columns(Vec<usize>),
    /// Its database was dropped.
    Gone,
    /// Time passes.
    Later(u64),
}

const NAMES: [&str; 8] = ["a", "b c", "d,e", "f=g", "h\\i", "fam::x", "fam::y", "größe"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..NAMES.len(), 0..TYPES.len()).prop_map(|(name, kind)| Step::Conflict(name, kind)),
        prop::collection::vec(any::<bool>(), NAMES.len()).prop_map(Step::Full),
        prop::collection::vec(0..NAMES.len(), 0..NAMES.len()).prop_map(Step::Columns),
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

fn apply(coercion: &mut Coercion, line: &str, step: Step, now: &mut Instant) {
    match step {
        Step::Conflict(name, kind) => {
            let conflict = Conflict { table: None, column: NAMES[name].to_owned(), expected: TYPES[kind] };
            coercion.columns.conflict("telemetry", conflict, *now);
        }
        Step::Full(are_there) => {
            for (trial, is_there) in coercion.columns.trials(line, *now).into_iter().zip(are_there) {
                if is_there {
                    coercion.columns.there(&trial, *now);
                } else {
                    coercion.columns.missing(&trial, *now);
                }
            }
        }
        Step::Columns(names) => coercion.budget.answered(names.into_iter().map(|name| NAMES[name]), *now),
        Step::Gone => coercion.columns.clear(),
        Step::Later(secs) => *now += Duration::from_secs(secs),
    }
}

proptest! {
    #[test]
    fn whatever_the_server_rejects_a_point_keeps_its_seq_and_only_fields_of_its_own(
        names in prop::collection::btree_set(0..NAMES.len(), 0..NAMES.len()),
        most in 0..6_usize,
        is_sole in any::<bool>(),
        steps in steps(),
    ) {
        let line = line(&names);
        let (series, all, time) = parsed(&line);
        let mut now = Instant::now();
        let mut coercion = Coercion::new(FieldBudget::new(most, is_sole, Some(now)), Duration::from_secs(60));
        for step in steps {
            apply(&mut coercion, &line, step, &mut now);
            let mut coerced = coercion.coerce(&line, now);
            if coerced == Coerced::Ask {
                coercion.budget.answered([], now);
                coerced = coercion.coerce(&line, now);
            }
            let (kept, skipped) = match coerced {
                Coerced::AsIs => (parsed(&line), Vec::new()),
                Coerced::Changed { line, skipped } => (parsed(&line), skipped),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!((&kept.0, kept.2), (&series, time));
            prop_assert_eq!(kept.1.first().map(String::as_str), Some("seq"));
            let left_out: BTreeSet<_> = skipped.into_iter().map(|(column, _)| column).collect();
            let expected: Vec<_> = all.iter().filter(|name| !left_out.contains(*name)).cloned().collect();
            prop_assert_eq!(&kept.1, &expected, "what is left out is reported, and nothing else is");
            for trial in coercion.take_due() {
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
        let mut coercion = Coercion::new(FieldBudget::new(most, true, None), Duration::from_secs(60));
        let mut passed = BTreeSet::new();
        for names in lines {
            let line = line(&names);
            let kept = match coercion.coerce(&line, now) {
                Coerced::AsIs => line,
                Coerced::Changed { line, .. } => line,
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            let kept = parsed(&kept).1;
            passed.extend(kept.into_iter().filter(|name| name != "seq"));
        }
        prop_assert!(passed.len() <= most, "{passed:?}");
    }
}

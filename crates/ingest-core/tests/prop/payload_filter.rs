use std::collections::BTreeMap;

use ingest_core::routes::payload_filter::PayloadFilter;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3..3_i32).prop_map(|n| Value::from(f64::from(n) / 2.0)),
        "(-?[0-3](\\.[05])?|True|False|None|nan|inf| 1 |abc|)".prop_map(Value::from),
        "\\PC{0,4}".prop_map(Value::from),
    ]
}

fn conditions() -> impl Strategy<Value = Value> {
    let operators = "\\$(gt|gte|lt|lte|eq|ne|regex)";
    prop_oneof![
        scalars(),
        prop::collection::btree_map(operators, scalars(), 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        prop::collection::vec(scalars(), 0..3).prop_map(Value::from),
    ]
}

fn objects(values: impl Strategy<Value = Value>) -> impl Strategy<Value = BTreeMap<String, Value>> {
    prop::collection::btree_map("[a-c]", values, 0..3)
}

fn matches(filter: &str, metrics: &BTreeMap<String, Value>, payload: &BTreeMap<String, Value>) -> bool {
    let texts = |values: &BTreeMap<String, Value>| -> BTreeMap<String, Box<RawValue>> {
        serde_json::from_str(&serde_json::to_string(values).unwrap()).unwrap()
    };
    let (metrics, payload) = (texts(metrics), texts(payload));
    PayloadFilter::parse(filter)
        .unwrap()
        .matches(|key| metrics.get(key).map(|value| value.get()), |key| payload.get(key).map(|value| value.get()))
}

proptest! {
    #[test]
    fn a_filter_holds_where_each_of_its_conditions_does(
        filter in objects(conditions()),
        metrics in objects(conditions()),
        payload in objects(conditions()),
    ) {
        let all = matches(&serde_json::to_string(&filter).unwrap(), &metrics, &payload);
        let each = filter.iter().all(|(key, condition)| {
            let filter = serde_json::json!({ key: condition }).to_string();
            matches(&filter, &metrics, &payload)
        });
        prop_assert_eq!(all, each);
    }

    #[test]
    fn a_value_that_is_there_equals_itself(value in scalars(), other in scalars()) {
        let values = BTreeMap::from([("a".to_owned(), value.clone())]);
        let found = matches(&serde_json::json!({ "a": value }).to_string(), &values, &BTreeMap::new());
        prop_assert_eq!(found, !value.is_null());
        // Values of one kind are equal as text exactly where they are equal.
        if std::mem::discriminant(&value) == std::mem::discriminant(&other) && value != Value::Null {
            let found = matches(&serde_json::json!({ "a": other }).to_string(), &values, &BTreeMap::new());
            // `==` does not tell 0.0 from -0.0.
            let (value, other) = (value.to_string(), other.to_string());
            prop_assert_eq!(found, value == other, "{} {}", value, other);
        }
    }

    #[test]
    fn comparisons_are_those_of_numbers(value in any::<f64>(), threshold in any::<f64>()) {
        prop_assume!(value.is_finite() && threshold.is_finite());
        let values = BTreeMap::from([("a".to_owned(), Value::from(value))]);
        for (operator, expected) in [
            ("$gt", value > threshold),
            ("$gte", value >= threshold),
            ("$lt", value < threshold),
            ("$lte", value <= threshold),
            ("$eq", value == threshold),
            ("$ne", value != threshold),
        ] {
            let filter = serde_json::json!({ "a": { operator: threshold } }).to_string();
            prop_assert_eq!(matches(&filter, &values, &BTreeMap::new()), expected, "{}", operator);
        }
    }

    #[test]
    fn any_text_is_a_filter_or_none(text in "\\PC*", value in "\\PC*") {
        if let Ok(filter) = PayloadFilter::parse(&text) {
            filter.matches(|_| Some(&value), |_| None);
        }
    }

    #[test]
    fn no_condition_on_any_text_panics(condition in conditions(), value in "\\PC{0,8}") {
        let filter = serde_json::json!({ "a": condition }).to_string();
        PayloadFilter::parse(&filter).unwrap().matches(|_| Some(&value), |_| None);
    }
}

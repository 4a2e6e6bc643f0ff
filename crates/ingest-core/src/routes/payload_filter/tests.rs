use super::PayloadFilter;
use crate::cases;

fn matches(filter: &str, metrics: &str, payload: &str) -> bool {
    let (metrics, payload) = (cases::members(metrics), cases::members(payload));
    PayloadFilter::parse(filter).unwrap().matches(|key| metrics.get(key), |key| payload.get(key))
}

#[test]
fn the_public_cases_hold() {
    let mut checked = 0;
    for case in cases::read("payload_filter") {
        let filter = case.get("routes")[0]["payload_filter"].to_string();
        let payload = case.payload_members().unwrap();
        let metrics = cases::members(payload["metrics"].get());
        let found = PayloadFilter::parse(&filter)
            .unwrap()
            .matches(|key| metrics.get(key), |key| payload.get(key).map(|value| value.get()));
        let expected = !case.alternatives()[0]["route_jobs"].as_array().unwrap().is_empty();
        assert_eq!(found, expected, "{}", case.id());
        checked += 1;
    }
    assert!(checked > 10, "only {checked} cases were found");
}

#[test]
fn a_metric_comes_before_the_member_of_the_same_name() {
    assert!(matches(r#"{"t":5}"#, r#"{"t":5}"#, r#"{"t":6}"#));
    assert!(!matches(r#"{"t":6}"#, r#"{"t":5}"#, r#"{"t":6}"#));
    assert!(matches(r#"{"t":6}"#, r#"{"t":null}"#, r#"{"t":6}"#));
    assert!(matches(r#"{"t":6}"#, "{}", r#"{"t":6}"#));
}

#[test]
fn absent_and_null_values_never_match() {
    for filter in [r#"{"t":null}"#, r#"{"t":"None"}"#, r#"{"t":{}}"#, r#"{"t":{"$ne":1}}"#] {
        assert!(!matches(filter, "{}", "{}"), "{filter}");
        assert!(!matches(filter, r#"{"t":null}"#, r#"{"t":null}"#), "{filter}");
    }
}

#[test]
fn an_empty_filter_matches_everything() {
    assert!(matches("{}", "{}", "{}") && matches("null", "{}", "{}") && matches(" null ", "{}", "{}"));
}

#[test]
fn conditions_hold_or_not() {
    for (condition, value, expected) in [
        (r#"{"$gt":80}"#, "85", true),
        (r#"{"$gt":85}"#, "85", false),
        (r#"{"$gte":85,"$lte":85}"#, "85.0", true),
        (r#"{"$gte":85,"$lte":84}"#, "85", false),
        (r#"{"$eq":"8.5e1"}"#, "85", true),
        (r#"{"$ne":85}"#, "85", false),
        (r#"{"$lt":86}"#, r#"" 85 ""#, true),
        (r#"{"$gt":0}"#, "true", true),
        (r#"{"$eq":false}"#, "0", true),
        (r#"{"$gt":"abc"}"#, "85", false),
        (r#"{"$gt":1}"#, r#""abc""#, false),
        (r#"{"$gt":1}"#, "[5]", false),
        (r#"{"$regex":"x"}"#, "85", false),
        (r#"{"$regex":1}"#, "85", true),
        (r#"{"$regex":1}"#, r#""x""#, false),
        (r#"{"$gt":null}"#, "85", false),
        ("{}", r#""x""#, true),
        ("85", "85", true),
        ("85", r#""85""#, true),
        (r#""85""#, "85", true),
        ("85", "85.0", false),
        ("85.0", "85.00", true),
        ("85.0", "8.5e1", true),
        ("0", "-0", true),
        ("0.0", "-0.0", false),
        ("true", "true", true),
        ("true", r#""True""#, true),
        ("true", r#""true""#, false),
        ("true", "1", false),
        ("false", "false", true),
        (r#""1e+16""#, "10000000000000000.0", true),
        (r#""1e-05""#, "0.00001", true),
        (r#""0.0001""#, "1e-4", true),
        (r#""1.5e+300""#, "1.5e300", true),
        (r#""gr\u00fcn""#, r#""grün""#, true),
        ("98765432109876543210", "98765432109876543210", true),
        ("98765432109876543210", "98765432109876543211", false),
        ("[1,2]", "[1, 2]", true),
        ("[1,2]", "[2,1]", false),
        (r#""[1, 2]""#, "[1,2]", false),
    ] {
        let found = matches(&format!(r#"{{"t":{condition}}}"#), &format!(r#"{{"t":{value}}}"#), "{}");
        assert_eq!(found, expected, "{condition} on {value}");
    }
}

#[test]
fn all_conditions_must_hold() {
    assert!(matches(r#"{"a":1,"b":{"$gt":1}}"#, r#"{"a":1,"b":2}"#, "{}"));
    assert!(!matches(r#"{"a":1,"b":{"$gt":2}}"#, r#"{"a":1,"b":2}"#, "{}"));
}

#[test]
fn text_that_is_no_object_is_an_error() {
    for text in ["", "[]", "5", "\"x\"", "{", "true"] {
        assert!(PayloadFilter::parse(text).is_err(), "{text}");
    }
}

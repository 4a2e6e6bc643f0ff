use ingest_core::routes::topic_filter::TopicFilter;
use proptest::prelude::*;

/// The rule, level by level, by a straightforward implementation.
fn naive(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#", ..], _) => true,
        ([], []) => true,
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            (wanted == level || (*wanted == "+" && !level.is_empty())) && naive(filter, topic)
        }
        _ => false,
    }
}

fn levels(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

proptest! {
    #[test]
    fn a_filter_matches_what_the_naive_rule_matches(
        filter in "(a|b|\\+|#|a\\+|#b|)(/(a|b|\\+|#|)){0,4}",
        topic in "(a|b|\\+|#|a\\+|#b|)(/(a|b|\\+|#|)){0,4}",
    ) {
        match TopicFilter::parse(&filter) {
            Ok(parsed) => prop_assert_eq!(parsed.matches(&topic), naive(&levels(&filter), &levels(&topic)), "{} on {}", filter, topic),
            Err(_) => prop_assert!(filter.is_empty()),
        }
    }

    #[test]
    fn a_filter_without_wildcards_matches_itself_alone(filter in "[^+#]{1,12}", topic in "[^+#]{0,12}") {
        let parsed = TopicFilter::parse(&filter).unwrap();
        prop_assert!(parsed.matches(&filter));
        prop_assert_eq!(parsed.matches(&topic), filter == topic);
    }

    #[test]
    fn everything_below_a_level_includes_the_level(topic in "[a-c/]{0,12}") {
        prop_assert!(TopicFilter::parse("#").unwrap().matches(&topic));
        let below = TopicFilter::parse(&format!("{topic}/#")).unwrap();
        prop_assert!(below.matches(&topic) && below.matches(&(topic.clone() + "/x/y")));
    }
}

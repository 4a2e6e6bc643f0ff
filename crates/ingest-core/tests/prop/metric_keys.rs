use std::collections::BTreeMap;

use ingest_core::message::metric_keys::MetricKeyMap;
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_last_module_that_maps_a_name_decides(
        maps in prop::collection::vec(prop::collection::btree_map("[a-d]", "[w-z]{1,2}", 0..4), 0..5),
    ) {
        let texts: Vec<String> = maps.iter().map(|map| serde_json::to_string(map).unwrap()).collect();
        let keys = MetricKeyMap::from_maps(texts.iter().map(String::as_str));
        let merged: BTreeMap<&String, &String> = maps.iter().flatten().collect();
        for name in ["a", "b", "c", "d", "e"] {
            prop_assert_eq!(keys.get(name), merged.get(&name.to_owned()).map(|target| target.as_str()));
        }
        prop_assert_eq!(keys.is_empty(), merged.is_empty());
    }

    #[test]
    fn a_mapped_name_is_one_that_a_metric_may_have(target in "\\PC{0,200}|[\\x00-\\x20]{1,3}") {
        let map = serde_json::json!({ "a": target }).to_string();
        let keys = MetricKeyMap::from_maps([map.as_str()].into_iter());
        let is_name = (1..=128).contains(&target.chars().count()) && !target.chars().any(char::is_control);
        prop_assert_eq!(keys.get("a"), is_name.then_some(target.as_str()));
    }

    #[test]
    fn any_text_is_a_map_or_none(text in "\\PC*") {
        MetricKeyMap::from_maps([text.as_str()].into_iter());
    }
}

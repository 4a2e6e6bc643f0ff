use ingest_core::message::topic::Topic;
use ingest_core::provision::fields::{check_id, check_text, metadata};
use proptest::prelude::*;
use serde_json::{Map, Value};

proptest! {
    #[test]
    fn whatever_can_be_registered_can_send(tenant in any::<String>(), device in "[ -~é/+#\u{0}-\u{1f}]{0,300}") {
        if check_id("tenant_id", &tenant).is_ok() && check_id("device_id", &device).is_ok() {
            let text = format!("tenant/{tenant}/device/{device}/telemetry");
            let topic = Topic::parse(&text);
            prop_assert_eq!(topic.map(|topic| (topic.tenant, topic.device)), Some((tenant.as_str(), device.as_str())));
        }
    }

    #[test]
    fn no_error_repeats_what_it_is_about(text in "[a-z]{5,20}[/\n]") {
        for error in [check_id("device_id", &text).err(), check_text("site_id", &text).err()].into_iter().flatten() {
            prop_assert!(!error.to_string().contains(text.trim_end_matches(['/', '\n'])));
        }
    }

    #[test]
    fn metadata_are_stored_as_they_came(members in prop::collection::btree_map("[a-z\"\\\\]{0,8}", any::<i64>(), 0..20)) {
        let members: Map<String, Value> = members.into_iter().map(|(key, value)| (key, value.into())).collect();
        let text = metadata(&members).unwrap();
        prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).unwrap(), members);
    }
}

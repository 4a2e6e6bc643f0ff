use ingest_core::message::topic::Topic;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_topic_is_the_sum_of_its_parts(
        tenant in "[^/\0]{1,8}",
        device in "[^/\0]{1,8}",
        msg_type in "[^/\0]{1,8}",
        rest in prop::option::of("[^\0]{0,8}"),
    ) {
        let mut text = format!("tenant/{tenant}/device/{device}/{msg_type}");
        if let Some(rest) = &rest {
            text.push('/');
            text.push_str(rest);
        }
        let topic = Topic { tenant: &tenant, device: &device, msg_type: &msg_type, rest: rest.as_deref() };
        prop_assert_eq!(Topic::parse(&text), Some(topic));
    }

    #[test]
    fn any_text_is_a_topic_or_none(text in "(tenant|device|/|\\PC|\0){0,12}") {
        if let Some(Topic { tenant, device, msg_type, rest }) = Topic::parse(&text) {
            let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
            prop_assert_eq!(format!("tenant/{tenant}/device/{device}/{msg_type}{rest}"), &*text);
            prop_assert!(!tenant.is_empty() && !device.is_empty() && !msg_type.is_empty());
        }
    }
}

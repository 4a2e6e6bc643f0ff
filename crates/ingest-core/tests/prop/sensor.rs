use ingest_core::state::sensor::{LastValue, infer};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_name_for_people_is_the_same_name(key in "[ -~]*") {
        let inferred = infer(&key);
        prop_assert_eq!(inferred.display_name.to_lowercase(), key.replace('_', " ").to_lowercase());
        prop_assert_eq!(&infer(&inferred.display_name).display_name, &inferred.display_name);
        prop_assert_eq!(infer(&key.to_uppercase()).unit, inferred.unit);
    }

    #[test]
    fn any_name_has_a_name_for_people(key in "\\PC*") {
        prop_assert!(!infer(&key).display_name.contains('_'));
    }

    #[test]
    fn a_string_is_its_content(text in "\\PC*") {
        let json = serde_json::Value::from(text.as_str()).to_string();
        prop_assert_eq!(LastValue::from_json(&json), LastValue::Text(text.into()));
    }

    #[test]
    fn a_number_keeps_its_text(number in any::<f64>().prop_filter("JSON has no others", |number| number.is_finite())) {
        let json = serde_json::Value::from(number).to_string();
        prop_assert_eq!(LastValue::from_json(&json), LastValue::Number(&json));
    }

    #[test]
    fn any_text_has_a_value(json in "\\PC*") {
        LastValue::from_json(&json);
    }
}

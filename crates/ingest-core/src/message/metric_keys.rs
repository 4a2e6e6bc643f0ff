//! Metric key map: metric names as a device's modules map them (`device_modules.metric_key_map`).

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Longest metric name, in characters.
pub const MAX_KEY_CHARS: usize = 128;

/// The mapping of one device. Names that no module maps are unchanged.
#[derive(Clone, Debug, Default)]
pub struct MetricKeyMap(HashMap<String, String>);

impl MetricKeyMap {
    /// From the `metric_key_map` objects (JSON text) of all active modules in the order of their rows: where two map
    /// the same name, the later one wins.
    ///
    /// A target that is no valid metric name (not a string, empty, longer than [`MAX_KEY_CHARS`] characters, with control
    /// characters) is ignored, and so is a map that is not an object: a mistake in one module must not cost the device its
    /// data.
    pub fn from_maps<'a>(maps: impl Iterator<Item = &'a str>) -> Self {
        let mut keys = HashMap::new();
        for map in maps {
            let Ok(map) = serde_json::from_str::<Map<String, Value>>(map) else { continue };
            for (key, target) in map {
                match target {
                    Value::String(target) if is_key(&target) => keys.insert(key, target),
                    _ => continue,
                };
            }
        }
        Self(keys)
    }

    /// The mapped name; `None` where the name is not mapped.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Bytes that it takes on the heap, approximately.
    pub fn size_bytes(&self) -> usize {
        let texts: usize = self.0.iter().map(|(key, target)| key.len() + target.len()).sum();
        texts + self.0.capacity() * size_of::<(String, String)>()
    }

    /// Whether it maps nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_KEY_CHARS && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(maps: &[&str]) -> MetricKeyMap {
        MetricKeyMap::from_maps(maps.iter().copied())
    }

    #[test]
    fn the_maps_of_all_modules_apply() {
        let keys = map(&[r#"{"p1":"pressure"}"#, r#"{"p2":"power"}"#]);
        assert_eq!(keys.get("p1"), Some("pressure"));
        assert_eq!(keys.get("p2"), Some("power"));
        assert_eq!(keys.get("x"), None);
    }

    #[test]
    fn the_later_module_wins() {
        assert_eq!(map(&[r#"{"p":"a"}"#, r#"{"p":"b"}"#]).get("p"), Some("b"));
    }

    #[test]
    fn a_target_that_is_no_valid_name_is_ignored() {
        let long = format!(r#"{{"p":"{}"}}"#, "x".repeat(MAX_KEY_CHARS + 1));
        for bad in [r#"{"p":5}"#, r#"{"p":null}"#, r#"{"p":""}"#, r#"{"p":"a\nb"}"#, r#"{"p":["x"]}"#, &long] {
            assert_eq!(map(&[r#"{"p":"a"}"#, bad]).get("p"), Some("a"), "{bad}");
            assert!(map(&[bad]).is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_map_that_is_not_an_object_is_ignored() {
        assert!(map(&[]).is_empty());
        assert!(map(&["null", "[]", "", "{", r#""p""#, "{}"]).is_empty());
    }
}

//! Row text: the payload as its row holds it, made by as few edits as possible.

use std::borrow::Cow;
use std::ops::Range;

use super::report::{MetricsAt, Report, Token, offset_in};
use crate::message::metric;
use crate::message::metric_keys::MetricKeyMap;
use crate::message::redact;

impl Report<'_> {
    /// The text that the row holds: without the provision token, metrics under their mapped names and an object in any
    /// case, and every number in a spelling whose kind survives jsonb (`2.4e1` would come back as the integer 24).
    pub fn row_text(&self, keys: Option<&MetricKeyMap>) -> String {
        let mut edits: Vec<(Range<usize>, Cow<'_, str>)> = Vec::new();
        match &self.token_at {
            Token::Nowhere | Token::Scattered => {}
            Token::At(member) => edits.push((with_one_comma(self.text, member), Cow::Borrowed(""))),
        }
        if let Some((range, object)) = self.metrics_to_add() {
            edits.push((range, Cow::Borrowed(object)));
        }
        match keys.filter(|keys| self.metrics.iter().any(|metric| keys.get(&metric.key).is_some())) {
            Some(keys) => {
                if let MetricsAt::Object(range) = &self.metrics_at {
                    edits.push((range.clone(), Cow::Owned(metric::object_text(&self.metrics, keys))));
                }
            }
            None => {
                for metric in &self.metrics {
                    if let Some(spelling) = metric.spelling_for_jsonb() {
                        edits.push((offset_in(self.text, metric.raw), Cow::Owned(spelling)));
                    }
                }
            }
        }
        let edited = apply(self.text, edits);
        match self.token_at {
            Token::Scattered => redact::without_token(&edited).into_owned(),
            _ => edited,
        }
    }

    /// The metrics that the row needs and the payload does not have, and where they go.
    fn metrics_to_add(&self) -> Option<(Range<usize>, &'static str)> {
        match &self.metrics_at {
            MetricsAt::Object(_) => None,
            MetricsAt::Null(range) => Some((range.clone(), "{}")),
            MetricsAt::Nowhere { is_alone } => {
                let inside = self.text.find('{')? + 1;
                Some((inside..inside, if *is_alone { r#""metrics":{}"# } else { r#""metrics":{},"# }))
            }
        }
    }
}

/// Widens a member by the comma after it or, where it is the last one, by the comma before it.
fn with_one_comma(text: &str, member: &Range<usize>) -> Range<usize> {
    let after = text[member.end..].trim_start();
    if let Some(rest) = after.strip_prefix(',') {
        return member.start..text.len() - rest.trim_start().len();
    }
    let before = text[..member.start].trim_end();
    before.strip_suffix(',').map_or(member.clone(), |before| before.len()..member.end)
}

/// Text with these ranges replaced; no two of them overlap.
fn apply(text: &str, mut edits: Vec<(Range<usize>, Cow<'_, str>)>) -> String {
    edits.sort_unstable_by_key(|(range, _)| (range.start, range.end));
    let grown: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let cut: usize = edits.iter().map(|(range, _)| range.len()).sum();
    // To the byte: a text without spare room is shared without another allocation.
    let mut edited = String::with_capacity(text.len() + grown - cut);
    let mut at = 0;
    for (range, new) in edits {
        edited.push_str(&text[at..range.start]);
        edited.push_str(&new);
        at = range.end;
    }
    edited.push_str(&text[at..]);
    edited
}

//! Prometheus text, as `/metrics` gives it, for looking things up.

use std::collections::BTreeMap;

/// One scrape of `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Parses the text format.
    ///
    /// # Panics
    /// On a line that is no sample and no comment: the node must write what Prometheus can read.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}"))).collect())
    }

    /// Sum of all samples of this name that carry these labels (others may be there as well); `None` when there is none.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.0.iter().filter(|sample| sample.is(name, labels)).map(|sample| sample.value).reduce(|a, b| a + b)
    }

    /// As [`Metrics::get`], as a count, and 0 when there is none: a counter that never moved may be missing.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.get(name, labels).unwrap_or(0.0) as u64
    }

    /// The values of one label over the samples that [`Metrics::get`] would take, each with the sum of its samples.
    pub fn by_label_of(&self, name: &str, labels: &[(&str, &str)], label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.is(name, labels)) {
            if let Some(value) = sample.labels.get(label) {
                *sums.entry(value.clone()).or_default() += sample.value as u64;
            }
        }
        sums
    }
}

impl Sample {
    fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(key, value)| self.labels.get(*key).is_some_and(|is| is == value))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = BTreeMap::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = list;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after;
        }
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// A label's value up to its closing quote, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_any_of_their_labels() {
        let metrics = Metrics::parse(
            "# HELP x_total About x.\n# TYPE x_total counter\nx_total{a=\"1\",b=\"q\\\"}\"} 5\nx_total{a=\"2\",b=\"y\"} 7 1700000000\nup 1\n# EOF\n",
        );
        assert_eq!(metrics.get("x_total", &[]), Some(12.0));
        assert_eq!(metrics.get("x_total", &[("b", "q\"}")]), Some(5.0));
        assert_eq!(metrics.count("x_total", &[("a", "3")]), 0);
        assert_eq!(metrics.get("up", &[]), Some(1.0));
        assert_eq!(metrics.by_label_of("x_total", &[("b", "y")], "a")["2"], 7);
    }

    #[test]
    #[should_panic(expected = "not a sample")]
    fn what_is_no_sample_is_not_passed_over() {
        Metrics::parse("nonsense");
    }
}

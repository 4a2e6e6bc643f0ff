//! What operators are told of the debts: the same figures in the metrics and in `/stats`.

use serde_json::{Value, json};

use crate::metrics::OutboxBacklog;
use ingest_core::message::names::{OTHER_TENANTS_LABEL, metric_label};

/// Tenants that are told by name; the last entry stands for all others.
const NAMED: usize = 20;

/// What is younger is on its way, and no debt: InfluxDB confirms within seconds. Without this every tenant would come
/// and go with every flush.
const LATE_SECS: i64 = 10;

/// What a tenant has on record, whoever works on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    /// Whose.
    pub tenant_id: String,
    /// Rows of the outbox.
    pub flushes: i64,
    /// Lines they stand for.
    pub lines: i64,
    /// Those of rows that nobody works on.
    pub free_lines: i64,
    /// Age of the oldest, in seconds.
    pub oldest_secs: i64,
}

/// What is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// For the metrics.
    pub standings: Vec<OutboxBacklog>,
    /// For `/stats`.
    pub state: Value,
}

/// Tells these debts: the tenants that are late, the largest first. `rate`: a tenant's replayed lines per second.
pub(super) fn tell(debts: &[Entries], rate: impl Fn(&str) -> Option<f64>) -> Told {
    let mut late: Vec<&Entries> = debts.iter().filter(|debt| debt.oldest_secs >= LATE_SECS).collect();
    late.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.tenant_id.cmp(&b.tenant_id)));
    let (named, others) = late.split_at(late.len().min(NAMED));
    let rate_of = |debts: &[&Entries]| debts.iter().filter_map(|debt| rate(&debt.tenant_id)).reduce(|a, b| a + b);

    let mut told = Told::default();
    let mut tenants = Vec::new();
    for debt in named {
        let standing = standing(&metric_label(&debt.tenant_id), &[debt], rate_of(&[debt]));
        tenants.push(entry(json!(debt.tenant_id), debt.flushes, &standing));
        told.standings.push(standing);
    }
    if !others.is_empty() {
        let standing = standing(OTHER_TENANTS_LABEL, others, rate_of(others));
        tenants.push(entry(Value::Null, others.iter().map(|debt| debt.flushes).sum(), &standing));
        told.standings.push(standing);
    }
    let all = standing("", &late, rate_of(&late));
    told.state = entry(Value::Null, late.iter().map(|debt| debt.flushes).sum(), &all);
    // Of all together, a list instead of a name.
    if let Some(state) = told.state.as_object_mut() {
        state.remove("tenant_id");
        state.insert("late_tenants".to_owned(), json!(late.len()));
        state.insert("tenants".to_owned(), Value::Array(tenants));
    }
    told
}

fn standing(label: &str, debts: &[&Entries], rate: Option<f64>) -> OutboxBacklog {
    let lines = debts.iter().map(|debt| debt.lines).sum();
    OutboxBacklog {
        tenant: label.to_owned(),
        lines,
        oldest_secs: debts.iter().map(|debt| debt.oldest_secs).max().unwrap_or(0),
        replay: rate.filter(|rate| *rate > 0.0).map(|rate| (rate, lines as f64 / rate)),
    }
}

fn entry(tenant_id: Value, flushes: i64, standing: &OutboxBacklog) -> Value {
    let whole = |number: Option<f64>| number.map_or(Value::Null, |number| json!(number.ceil()));
    json!({
        "tenant_id": tenant_id,
        "flushes": flushes,
        "lines": standing.lines,
        "oldest_secs": standing.oldest_secs,
        "lines_per_sec": whole(standing.replay.map(|(rate, _)| rate)),
        "eta_secs": whole(standing.replay.map(|(_, eta)| eta)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debt(tenant_id: &str, lines: i64, oldest_secs: i64) -> Entries {
        Entries { tenant_id: tenant_id.to_owned(), flushes: 1, lines, free_lines: lines, oldest_secs }
    }

    #[test]
    fn a_tenant_is_told_with_its_rate_and_its_time_left() {
        let debts = [debt("a b", 1_000, 60), debt("acme", 50, 90), debt("healthy", 5_000, 1)];
        let told = tell(&debts, |tenant_id| (tenant_id == "a b").then_some(100.0));
        let names: Vec<&str> = told.standings.iter().map(|standing| &*standing.tenant).collect();
        assert_eq!(names, ["a%20b", "acme"]);
        assert_eq!(told.standings[0].replay, Some((100.0, 10.0)));
        assert_eq!((told.standings[1].oldest_secs, told.standings[1].replay), (90, None));
        assert_eq!((&told.state["lines"], &told.state["oldest_secs"]), (&json!(1_050), &json!(90)));
        assert_eq!(told.state["tenants"][0]["tenant_id"], json!("a b"));
        assert_eq!(told.state["tenants"][0]["eta_secs"], json!(10.0));
        assert_eq!(told.state["tenants"][1]["eta_secs"], Value::Null);
    }

    #[test]
    fn only_those_that_are_owed_most_are_named_and_no_line_is_left_out() {
        let debts: Vec<Entries> = (1..=50).map(|n| debt(&format!("t{n}"), n, 10 + n)).collect();
        let told = tell(&debts, |_| Some(1.0));
        assert_eq!(told.standings.len(), NAMED + 1);
        assert_eq!((&*told.standings[0].tenant, &*told.standings[NAMED].tenant), ("t50", "%other"));
        assert_eq!(told.standings[NAMED].lines, (1..=30).sum::<i64>());
        assert_eq!(told.standings[NAMED].replay, Some((30.0, 15.5)));
        assert_eq!(told.standings.iter().map(|standing| standing.lines).sum::<i64>(), (1..=50).sum::<i64>());
        assert_eq!(told.state["late_tenants"], json!(50));
        assert_eq!(told.state["tenants"][NAMED]["tenant_id"], Value::Null);
    }

    #[test]
    fn nothing_owed_is_nothing_told() {
        let told = tell(&[debt("acme", 100, 2)], |_| None);
        assert!(told.standings.is_empty());
        assert_eq!((&told.state["lines"], &told.state["tenants"]), (&json!(0), &json!([])));
    }
}

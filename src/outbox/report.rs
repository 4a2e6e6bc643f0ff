//! The backlog report: the same figures in the metrics and in `/stats`.

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::metrics::OutboxBacklog;
use ingest_core::message::names::{OTHER_TENANTS_LABEL, metric_label};

/// Tenants that are reported by name; the last entry stands for all others.
const NAMED: usize = 20;

/// Entries that are younger than this are under way, and no backlog: InfluxDB confirms within seconds. Otherwise every tenant
/// would come and go with every flush.
const LATE_SECS: i64 = 10;

/// A tenant's entries in the outbox, whoever owns them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    /// Whose.
    pub tenant_id: String,
    /// How many.
    pub flushes: i64,
    /// Lines they stand for.
    pub lines: i64,
    /// Those of entries that nobody owns.
    pub free_lines: i64,
    /// Age of the oldest, in seconds.
    pub oldest_secs: i64,
}

/// What is reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// For the metrics.
    pub backlogs: Vec<OutboxBacklog>,
    /// For `/stats`.
    pub state: Value,
}

/// What `/stats` shows of the outbox.
#[derive(Debug, Default)]
pub(super) struct BacklogState(Mutex<Value>);

impl BacklogState {
    /// As of the last report.
    pub(super) fn get(&self) -> Value {
        self.lock().clone()
    }

    /// Replaces it.
    pub(super) fn set(&self, state: Value) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, Value> {
        self.0.lock()
    }
}

impl Report {
    /// Reports the tenants whose entries are late, the largest backlog first. `rate`: a tenant's redelivered lines per second.
    pub(super) fn of(entries: &[Entries], rate: impl Fn(&str) -> Option<f64>) -> Report {
        let mut late: Vec<&Entries> = entries.iter().filter(|entries| entries.oldest_secs >= LATE_SECS).collect();
        late.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.tenant_id.cmp(&b.tenant_id)));
        let (named, others) = late.split_at(late.len().min(NAMED));
        let rate_of = |late: &[&Entries]| late.iter().filter_map(|of| rate(&of.tenant_id)).reduce(|a, b| a + b);

        let mut report = Report::default();
        let mut tenants = Vec::new();
        for entries in named {
            let backlog = backlog(&metric_label(&entries.tenant_id), &[entries], rate_of(&[entries]));
            tenants.push(to_json(json!(entries.tenant_id), entries.flushes, &backlog));
            report.backlogs.push(backlog);
        }
        if !others.is_empty() {
            let backlog = backlog(OTHER_TENANTS_LABEL, others, rate_of(others));
            tenants.push(to_json(Value::Null, others.iter().map(|of| of.flushes).sum(), &backlog));
            report.backlogs.push(backlog);
        }
        let all = backlog("", &late, rate_of(&late));
        report.state = to_json(Value::Null, late.iter().map(|of| of.flushes).sum(), &all);
        // Of all together, a list instead of a name.
        if let Some(state) = report.state.as_object_mut() {
            state.remove("tenant_id");
            state.insert("late_tenants".to_owned(), json!(late.len()));
            state.insert("tenants".to_owned(), Value::Array(tenants));
        }
        report
    }
}

fn backlog(label: &str, of: &[&Entries], rate: Option<f64>) -> OutboxBacklog {
    let lines = of.iter().map(|entries| entries.lines).sum();
    OutboxBacklog {
        tenant: label.to_owned(),
        lines,
        oldest_secs: of.iter().map(|entries| entries.oldest_secs).max().unwrap_or(0),
        replay: rate.filter(|rate| *rate > 0.0).map(|rate| (rate, lines as f64 / rate)),
    }
}

fn to_json(tenant_id: Value, flushes: i64, backlog: &OutboxBacklog) -> Value {
    let whole = |number: Option<f64>| number.map_or(Value::Null, |number| json!(number.ceil()));
    json!({
        "tenant_id": tenant_id,
        "flushes": flushes,
        "lines": backlog.lines,
        "oldest_secs": backlog.oldest_secs,
        "lines_per_sec": whole(backlog.replay.map(|(rate, _)| rate)),
        "eta_secs": whole(backlog.replay.map(|(_, eta)| eta)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(tenant_id: &str, lines: i64, oldest_secs: i64) -> Entries {
        Entries { tenant_id: tenant_id.to_owned(), flushes: 1, lines, free_lines: lines, oldest_secs }
    }

    #[test]
    fn a_tenant_is_reported_with_its_rate_and_its_time_left() {
        let late = [entries("a b", 1_000, 60), entries("acme", 50, 90), entries("healthy", 5_000, 1)];
        let report = Report::of(&late, |tenant_id| (tenant_id == "a b").then_some(100.0));
        let names: Vec<&str> = report.backlogs.iter().map(|backlog| &*backlog.tenant).collect();
        assert_eq!(names, ["a%20b", "acme"]);
        assert_eq!(report.backlogs[0].replay, Some((100.0, 10.0)));
        assert_eq!((report.backlogs[1].oldest_secs, report.backlogs[1].replay), (90, None));
        assert_eq!((&report.state["lines"], &report.state["oldest_secs"]), (&json!(1_050), &json!(90)));
        assert_eq!(report.state["tenants"][0]["tenant_id"], json!("a b"));
        assert_eq!(report.state["tenants"][0]["eta_secs"], json!(10.0));
        assert_eq!(report.state["tenants"][1]["eta_secs"], Value::Null);
    }

    #[test]
    fn only_the_largest_backlogs_are_named_and_no_line_is_left_out() {
        let late: Vec<Entries> = (1..=50).map(|n| entries(&format!("t{n}"), n, 10 + n)).collect();
        let report = Report::of(&late, |_| Some(1.0));
        assert_eq!(report.backlogs.len(), NAMED + 1);
        assert_eq!((&*report.backlogs[0].tenant, &*report.backlogs[NAMED].tenant), ("t50", "%other"));
        assert_eq!(report.backlogs[NAMED].lines, (1..=30).sum::<i64>());
        assert_eq!(report.backlogs[NAMED].replay, Some((30.0, 15.5)));
        assert_eq!(report.backlogs.iter().map(|backlog| backlog.lines).sum::<i64>(), (1..=50).sum::<i64>());
        assert_eq!(report.state["late_tenants"], json!(50));
        assert_eq!(report.state["tenants"][NAMED]["tenant_id"], Value::Null);
    }

    #[test]
    fn without_late_entries_the_report_is_empty() {
        let report = Report::of(&[entries("acme", 100, 2)], |_| None);
        assert!(report.backlogs.is_empty());
        assert_eq!((&report.state["lines"], &report.state["tenants"]), (&json!(0), &json!([])));
    }
}

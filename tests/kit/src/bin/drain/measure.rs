//! What a run has shown, and what several have.

use std::time::{Duration, Instant};

/// A moment in a run, and the CPU time used until then.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub at: Instant,
    pub cpu: Duration,
}

/// The moments of a run that count.
#[derive(Default)]
pub(crate) struct Marks {
    pub first_delivery: Option<Mark>,
    pub first_ack: Option<Mark>,
    pub last_ack: Option<Mark>,
}

impl Marks {
    /// What they show.
    pub(crate) fn run(&self, started: Instant, messages: u64, peak_rss: u64) -> Run {
        let first_delivery = self.first_delivery.expect("a first delivery");
        let first_ack = self.first_ack.expect("a first acknowledgement");
        let last_ack = self.last_ack.expect("a last acknowledgement");
        let seconds = (last_ack.at - first_delivery.at).as_secs_f64();
        let cpu = last_ack.cpu.saturating_sub(first_delivery.cpu);
        Run {
            per_second: messages as f64 / seconds,
            cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages as f64,
            peak_rss,
            rss: 0,
            to_first_ack: Some(first_ack.at - started),
            to_all_cached: None,
        }
    }
}

/// A run.
pub(crate) struct Run {
    pub per_second: f64,
    pub cpu_us_per_message: f64,
    pub peak_rss: u64,
    /// Resident at the end.
    pub rss: u64,
    pub to_first_ack: Option<Duration>,
    /// From the first delivery until every device was cached, where that was asked for.
    pub to_all_cached: Option<Duration>,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { per_second, cpu_us_per_message, peak_rss, to_first_ack, to_all_cached, .. } = self;
        let mib = peak_rss / 1024 / 1024;
        write!(f, "{per_second:>8.0} messages/s, {cpu_us_per_message:>5.1} us CPU per message, peak {mib:>4} MiB")?;
        if let Some(time) = to_first_ack {
            write!(f, ", first acknowledgement {:.2} s after the start", time.as_secs_f64())?;
        }
        if let Some(time) = to_all_cached {
            write!(f, ", all devices cached after {:.2} s", time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// The medians of pairs of runs, the node beside the yardstick.
pub(crate) fn summary(name: &str, runs: &[(Run, Run)]) -> String {
    let of_node = |value: fn(&Run) -> f64| median(runs.iter().map(|(node, _)| value(node)));
    let of_yardstick = |value: fn(&Run) -> f64| median(runs.iter().map(|(_, yardstick)| value(yardstick)));
    let rate: fn(&Run) -> f64 = |run| run.per_second;
    let cpu: fn(&Run) -> f64 = |run| run.cpu_us_per_message;
    let memory: fn(&Run) -> f64 = |run| run.peak_rss as f64 / 1024.0 / 1024.0;
    let ratio = median(runs.iter().map(|(node, yardstick)| node.per_second / yardstick.per_second));
    format!(
        "{name}: node {:.0} messages/s, yardstick {:.0}, ratio {ratio:.3} (medians of {} pairs); CPU per message {:.1} us and \
         {:.1} us; peak memory {:.0} MiB and {:.0} MiB; first acknowledgement after {:.2} s",
        of_node(rate),
        of_yardstick(rate),
        runs.len(),
        of_node(cpu),
        of_yardstick(cpu),
        of_node(memory),
        of_yardstick(memory),
        median(runs.iter().filter_map(|(node, _)| node.to_first_ack).map(|time| time.as_secs_f64())),
    )
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The medians of runs of the node alone.
pub(crate) fn summary_alone(title: &str, runs: &[Run]) -> String {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value));
    let cached = median(runs.iter().filter_map(|run| run.to_all_cached).map(|time| time.as_secs_f64()));
    let cached = if cached.is_nan() { String::new() } else { format!("; all devices cached after {cached:.2} s") };
    format!(
        "{title}: node {:.0} messages/s (median of {} runs); CPU per message {:.1} us; peak memory {:.0} MiB{cached}",
        of(|run| run.per_second),
        runs.len(),
        of(|run| run.cpu_us_per_message),
        of(|run| run.peak_rss as f64 / 1024.0 / 1024.0),
    )
}

/// The medians of pairs of runs of the node, with something and without.
pub(crate) fn summary_with(title: &str, what: &str, pairs: &[(Run, Run)]) -> String {
    let of = |value: fn(&(Run, Run)) -> f64| median(pairs.iter().map(value));
    format!(
        "{title}: {:.0} messages/s with {what}, {:.0} without, ratio {:.3} (medians of {} pairs); CPU per message \
         {:.1} us and {:.1} us",
        of(|(with, _)| with.per_second),
        of(|(_, without)| without.per_second),
        of(|(with, without)| with.per_second / without.per_second),
        pairs.len(),
        of(|(with, _)| with.cpu_us_per_message),
        of(|(_, without)| without.cpu_us_per_message),
    )
}

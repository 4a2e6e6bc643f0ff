//! The process as its operating system sees it, under the names that all Prometheus clients use. Read at each scrape from
//! `/proc/self`; what can't be read there has no sample.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks of the times in `/proc/self/stat`: what Linux shows to programs is fixed, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// The collector.
#[derive(Debug, Default)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            let help = "Processor time of the process, of user and system.";
            let counter = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(seconds).encode(counter)?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let gauges = [
            ("process_resident_memory_bytes", "Memory of the process that is in RAM.", memory(&status, "VmRSS:")),
            ("process_virtual_memory_bytes", "Address space of the process.", memory(&status, "VmSize:")),
            ("process_start_time_seconds", "When the process started, in Unix seconds.", start_time(&stat, &system)),
            ("process_open_fds", "Open file descriptors.", open_descriptors()),
            ("process_max_fds", "Most file descriptors that may be open.", most_descriptors(&limits)),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(gauge)?;
            }
        }
        Ok(())
    }
}

/// A field of `/proc/self/stat` by its number in proc(5). The second one, the program's name, may hold blanks.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

/// `system`: `/proc/stat`, which says when the machine was booted.
fn start_time(stat: &str, system: &str) -> Option<f64> {
    let booted: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(stat, 22)? / TICKS_PER_SECOND)
}

/// A size of `/proc/self/status`, in bytes.
fn memory(status: &str, key: &str) -> Option<f64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix("kB")?;
    Some(kilobytes.trim().parse::<f64>().ok()? * 1024.0)
}

fn open_descriptors() -> Option<f64> {
    // One of them is that of the directory itself.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn most_descriptors(limits: &str) -> Option<f64> {
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    limit.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_linux_shows_and_are_absent_where_it_shows_none() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 9 0 12345 1000 20";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(start_time(stat, "cpu 1 2\nbtime 1000\nprocesses 7\n"), Some(1_123.45));
        assert_eq!(memory("VmPeak:\t 9 kB\nVmRSS:\t   2 kB\n", "VmRSS:"), Some(2_048.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       4096       files\n";
        assert_eq!(most_descriptors(limits), Some(1_024.0));
        assert_eq!(most_descriptors("Max open files  unlimited  unlimited  files\n"), None);
        assert_eq!(
            (cpu_seconds(""), start_time(stat, ""), memory("", "VmRSS:"), most_descriptors("")),
            Default::default()
        );
    }
}

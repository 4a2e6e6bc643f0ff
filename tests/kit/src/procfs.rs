//! Process figures from Linux's procfs: CPU time, memory, children.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// CPU time (user and system, all threads) that a process has used so far; `None` once it is gone.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    cpu_time_in(&stat(pid)?)
}

/// CPU time that the threads of this name have used so far: they share the first 15 bytes of it; `None` where there is none. To the
/// nanosecond, where the kernel keeps that (`schedstat`): a thread that hardly works uses less than a tick at a time.
pub fn thread_cpu_time(pid: u32, name: &str) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().map(|thread| thread.path());
    let named =
        threads.filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    let used = named.filter_map(|thread| {
        let exact = fs::read_to_string(thread.join("schedstat")).ok();
        let exact = exact.and_then(|text| text.split_ascii_whitespace().next()?.parse().ok());
        exact.map(Duration::from_nanos).or_else(|| cpu_time_in(&fields(&thread.join("stat"))?))
    });
    used.reduce(|one, other| one + other)
}

/// Fields 14 and 15 of proc(5): utime and stime, in ticks of 1/100 s on every common Linux.
fn cpu_time_in(stat: &[String]) -> Option<Duration> {
    let ticks: u64 = stat.get(11)?.parse::<u64>().ok()? + stat.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Largest resident set so far, in bytes (`VmHWM`).
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmHWM:").map(|kib| kib * 1024)
}

/// Resident set now, in bytes (`VmRSS`).
pub fn rss_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmRSS:").map(|kib| kib * 1024)
}

/// A process and all its descendants.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?.get(1)?.parse().ok()?))
        })
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// Whether a process does nothing any more: each of its threads is stopped, or it is gone.
pub(crate) fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| Some(fields(&thread.path().join("stat"))?.first()?.clone()));
    states.all(|state| matches!(&*state, "T" | "t" | "Z" | "X"))
}

/// The fields of `/proc/PID/stat` from the third (state) on: the second may hold blanks.
fn stat(pid: u32) -> Option<Vec<String>> {
    fields(Path::new(&format!("/proc/{pid}/stat")))
}

fn fields(stat: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(stat).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_ascii_whitespace().map(str::to_owned).collect())
}

fn status_kib(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_known_by_its_name() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let work = move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
        };
        let thread = std::thread::Builder::new().name("by-its-name".to_owned()).spawn(work).unwrap();
        begun.recv().unwrap();
        let me = std::process::id();
        assert!(thread_cpu_time(me, "by-its-name").is_some());
        assert_eq!(thread_cpu_time(me, "by-another"), None);
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn this_process_has_used_memory_and_is_its_own_family() {
        let me = std::process::id();
        assert!(peak_rss_bytes(me).unwrap() >= rss_bytes(me).unwrap() / 2);
        assert!(cpu_time(me).is_some());
        assert_eq!(family(me)[0], me);
    }
}

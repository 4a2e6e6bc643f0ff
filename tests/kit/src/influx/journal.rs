//! Journal of a stand-in that only counts lines: arrival time and oldest line of each request, and the distinct times
//! written.

use std::collections::HashSet;

/// A write request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The database it was for.
    pub database: String,
    /// When its last byte had come, Unix nanoseconds.
    pub arrived_ns: i64,
    /// The earliest time of its lines.
    pub oldest_ns: i64,
}

/// The journal. Only the timestamp of a line is read: parsing the rest would be too slow for a benchmark.
#[derive(Debug, Default)]
pub(super) struct Journal {
    requests: Vec<Request>,
    written: HashSet<i64>,
}

impl Journal {
    /// A request has come; its answer may take a while.
    pub(super) fn arrived(&mut self, database: &str, body: &[u8], now_ns: i64) {
        if let Some(oldest_ns) = times(body).min() {
            self.requests.push(Request { database: database.to_owned(), arrived_ns: now_ns, oldest_ns });
        }
    }

    /// Its lines are written.
    pub(super) fn written(&mut self, body: &[u8]) {
        self.written.extend(times(body));
    }

    /// All requests so far.
    pub(super) fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// How many different times were written: so many lines, where every line has a time of its own.
    pub(super) fn distinct(&self) -> usize {
        self.written.len()
    }
}

fn times(body: &[u8]) -> impl Iterator<Item = i64> {
    body.split(|byte| *byte == b'\n').filter_map(|line| {
        let digits = line.rsplit(|byte| *byte == b' ').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_old_as_its_oldest_line_and_a_time_written_twice_counts_once() {
        let mut journal = Journal::default();
        let body = b"t,d=a v=1 300\nt,d=a s=\"x y\" 100\nt,d=b v=2 200\n";
        journal.arrived("d1", body, 1_000);
        journal.arrived("d1", b"\n", 1_000);
        assert_eq!(journal.requests(), [Request { database: "d1".to_owned(), arrived_ns: 1_000, oldest_ns: 100 }]);
        assert_eq!(journal.distinct(), 0);
        journal.written(body);
        journal.written(b"t,d=b v=2 200");
        assert_eq!(journal.distinct(), 3);
    }
}

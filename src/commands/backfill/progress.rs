//! What people see while a backfill runs: a bar on a terminal, else a line now and then; both on standard error.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::moment;
use crate::runtime::terminal::print_error;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The bar: how much of the time range is done, and what that came to.
const BAR: &str = "{prefix} [{bar:30}] {percent:>3}%  {msg}  ETA {eta}";

/// The progress of one tenant.
pub(super) struct Progress {
    tenant_id: String,
    range_us: (i64, i64),
    began: Instant,
    next_line: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Progress from one moment to another.
    pub(super) fn new(tenant_id: &str, range_us: (i64, i64)) -> Self {
        let now = Instant::now();
        let bar = stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(seconds(range_us.1 - range_us.0)), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar.with_prefix(tenant_id.to_owned())
        });
        Self { tenant_id: tenant_id.to_owned(), range_us, began: now, next_line: now + LINE_EVERY, bar }
    }

    /// Shows how far it has come.
    pub(super) fn show(&mut self, received_us: i64, lines: u64) {
        let per_second = lines as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let lines = format!("{} lines, {}/s", HumanCount(lines), HumanCount(per_second as u64));
        if let Some(bar) = &self.bar {
            bar.set_position(seconds(received_us - self.range_us.0));
            bar.set_message(lines);
        } else if self.next_line <= Instant::now() {
            self.next_line = Instant::now() + LINE_EVERY;
            print_error(format_args!(
                "{}: at {} of {}, {lines}",
                self.tenant_id,
                moment(received_us),
                moment(self.range_us.1)
            ));
        }
    }

    /// Prints a sentence beside the bar.
    pub(super) fn print(&self, sentence: &str) {
        let print_it = || print_error(format_args!("{}: {sentence}", self.tenant_id));
        match &self.bar {
            Some(bar) => bar.suspend(print_it),
            None => print_it(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn seconds(us: i64) -> u64 {
    u64::try_from(us / 1_000_000).unwrap_or(0)
}

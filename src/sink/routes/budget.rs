//! How much is under way at once.

/// What is left of the jobs, and of the bytes of their bodies, that may be under way at once. The first job always fits,
/// however large it is.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    jobs: usize,
    bytes: usize,
    is_untouched: bool,
}

impl Budget {
    /// Capacity for so much; for one job at least.
    pub(super) const fn new(jobs: usize, bytes: usize) -> Self {
        Self { jobs: if jobs == 0 { 1 } else { jobs }, bytes, is_untouched: true }
    }

    /// Takes room for a job of this length, where there is enough.
    pub(super) fn take(&mut self, len: usize) -> bool {
        let fits = self.is_untouched || (self.jobs > 0 && len <= self.bytes);
        if fits {
            self.is_untouched = false;
            self.jobs -= 1;
            self.bytes = self.bytes.saturating_sub(len);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_bytes_are_bounded_and_one_job_always_fits() {
        let mut by_jobs = Budget::new(2, 100);
        assert_eq!([10, 10, 1].map(|len| by_jobs.take(len)), [true, true, false]);
        let mut by_bytes = Budget::new(9, 100);
        assert_eq!([60, 41, 40, 1].map(|len| by_bytes.take(len)), [true, false, true, false]);
        let mut too_small = Budget::new(0, 0);
        assert_eq!([5_000, 1].map(|len| too_small.take(len)), [true, false]);
    }
}

//! How much room rows take at today's rate, and for how long there is some.

/// What is known of the rows and the disk, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Size of each of the last full days.
    pub full_days: Vec<u64>,
    /// Size of all rows there are.
    pub rows: u64,
    /// What is free on the disk; none where nobody can tell from here.
    pub free: Option<u64>,
    /// For how many days rows are kept; none: for ever.
    pub kept_days: Option<u32>,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Bytes that a day takes.
    pub a_day: u64,
    /// Bytes that the rows take once the first days are dropped, today included; none where none are.
    pub levels_off_at: Option<u64>,
    /// For how many days there is room; none where that is not known, or where it levels off before.
    pub days_left: Option<u64>,
}

/// The forecast; none without a full day that has rows.
pub fn forecast(growth: &Growth) -> Option<Forecast> {
    let days = growth.full_days.len() as u64;
    let a_day = growth.full_days.iter().fold(0_u64, |sum, day| sum.saturating_add(*day)).checked_div(days)?;
    if a_day == 0 {
        return None;
    }
    let levels_off_at = growth.kept_days.map(|days| a_day.saturating_mul(u64::from(days) + 1));
    let yet_to_come = levels_off_at.map(|size| size.saturating_sub(growth.rows));
    let is_enough = |free: u64| yet_to_come.is_some_and(|more| more <= free);
    let days_left = growth.free.filter(|free| !is_enough(*free)).map(|free| free / a_day);
    Some(Forecast { a_day, levels_off_at, days_left })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(full_days: &[u64], free: Option<u64>, kept_days: Option<u32>) -> Growth {
        Growth { full_days: full_days.to_vec(), rows: 100, free, kept_days }
    }

    #[test]
    fn without_retention_free_space_lasts_as_long_as_it_lasts() {
        let found = forecast(&growth(&[8, 12], Some(1_005), None)).unwrap();
        assert_eq!(found, Forecast { a_day: 10, levels_off_at: None, days_left: Some(100) });
        assert_eq!(forecast(&growth(&[10], None, None)).unwrap().days_left, None, "not known");
    }

    #[test]
    fn with_retention_it_levels_off_or_is_full_before() {
        let found = forecast(&growth(&[10], Some(210), Some(30))).unwrap();
        assert_eq!(found, Forecast { a_day: 10, levels_off_at: Some(310), days_left: None });
        let found = forecast(&growth(&[10], Some(209), Some(30))).unwrap();
        assert_eq!(found.days_left, Some(20), "a byte too few");
        assert_eq!(forecast(&growth(&[10], None, Some(30))).unwrap().levels_off_at, Some(310));
    }

    #[test]
    fn nothing_is_said_of_a_rate_that_nobody_knows() {
        assert_eq!(forecast(&growth(&[], Some(1), None)), None);
        assert_eq!(forecast(&growth(&[0, 0], Some(1), None)), None);
    }

    #[test]
    fn sizes_beyond_all_measure_overflow_nothing() {
        assert!(forecast(&growth(&[u64::MAX, 1], Some(0), Some(u32::MAX))).unwrap().days_left.is_some());
    }
}

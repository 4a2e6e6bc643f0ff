use ingest_core::message::timestamp::{from_number, from_text};
use proptest::prelude::*;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Unix microseconds of the years 1 to 9999.
const EARLIEST_US: i64 = -62_135_596_800_000_000;
const LATEST_US: i64 = 253_402_300_799_999_999;

/// The instant as another implementation sees it.
fn date_time(at_us: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1_000).unwrap()
}

/// The calendar's fields as text: `YYYY-MM-DD`, `YYYY-DDD` and `YYYY-Www-D`, dashed and compact.
fn dates(at: OffsetDateTime) -> Vec<String> {
    let (iso_year, week, weekday) = (at.to_iso_week_date().0, at.iso_week(), at.weekday().number_from_monday());
    let (year, month, day, ordinal) = (at.year(), u8::from(at.month()), at.day(), at.ordinal());
    let mut dates = vec![
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{year:04}{month:02}{day:02}"),
        format!("{year:04}-{ordinal:03}"),
        format!("{year:04}{ordinal:03}"),
    ];
    if (1..=9999).contains(&iso_year) {
        dates.push(format!("{iso_year:04}-W{week:02}-{weekday}"));
        dates.push(format!("{iso_year:04}W{week:02}{weekday}"));
    }
    dates
}

proptest! {
    #[test]
    fn any_text_has_an_instant_of_the_years_1_to_9999_or_none(text in "\\PC*") {
        let found = from_text(&text).into_iter().chain(from_number(&text));
        for at_us in found {
            prop_assert!((EARLIEST_US..=LATEST_US).contains(&at_us));
        }
    }

    #[test]
    fn text_that_is_nearly_a_time_does_not_panic(text in "[0-9TWZtz:.,+ -]{0,40}") {
        let found = from_text(&text).into_iter().chain(from_number(&text));
        for at_us in found {
            prop_assert!((EARLIEST_US..=LATEST_US).contains(&at_us));
        }
    }

    #[test]
    fn rfc_3339_means_what_others_write_with_it(
        at_us in EARLIEST_US..=LATEST_US,
        offset_minutes in -23 * 60 - 59..=23 * 60 + 59_i32,
    ) {
        let offset = UtcOffset::from_whole_seconds(offset_minutes * 60).unwrap();
        // At the ends of the calendar not every offset has a local date.
        prop_assume!(date_time(at_us).checked_to_offset(offset).is_some_and(|at| (1..=9999).contains(&at.year())));
        let text = date_time(at_us).to_offset(offset).format(&Rfc3339).unwrap();
        prop_assert_eq!(from_text(&text), Some(at_us), "{}", text);
    }

    #[test]
    fn the_common_form_and_the_general_ones_agree(text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.][0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-6][0-9])") {
        // Only a `T` takes the short way.
        prop_assert_eq!(from_text(&text), from_text(&text.replace('T', " ")), "{}", text);
    }

    #[test]
    fn all_forms_of_a_date_are_the_same_day(at_us in EARLIEST_US..=LATEST_US) {
        let midnight = at_us - at_us.rem_euclid(86_400_000_000);
        let at = date_time(at_us);
        for date in dates(at) {
            prop_assert_eq!(from_text(&date), Some(midnight), "{}", date);
            let (hour, minute, second, microsecond) = (at.hour(), at.minute(), at.second(), at.microsecond());
            for text in [
                format!("{date}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}"),
                format!("{date} {hour:02}{minute:02}{second:02},{microsecond:06}999Z"),
                format!("{date}t{hour:02}{minute:02}{second:02}.{microsecond:06}+0000"),
            ] {
                prop_assert_eq!(from_text(&text), Some(at_us), "{}", text);
            }
        }
    }

    #[test]
    fn an_epoch_is_read_to_the_microsecond_in_any_unit(at_us in EARLIEST_US..=LATEST_US) {
        let fraction = |units: i64, digits: usize| {
            let whole = at_us.unsigned_abs() / units.unsigned_abs();
            let part = at_us.unsigned_abs() % units.unsigned_abs();
            format!("{}{whole}.{part:0digits$}", if at_us < 0 { "-" } else { "" })
        };
        if at_us.unsigned_abs() < 100_000_000_000 * 1_000_000 {
            prop_assert_eq!(from_number(&fraction(1_000_000, 6)), Some(at_us));
        }
        if (100_000_000_000 * 1_000..100_000_000_000_000 * 1_000).contains(&at_us.unsigned_abs()) {
            prop_assert_eq!(from_number(&fraction(1_000, 3)), Some(at_us));
        }
        if (100_000_000_000_000..100_000_000_000_000_000).contains(&at_us.unsigned_abs()) {
            prop_assert_eq!(from_number(&at_us.to_string()), Some(at_us));
        }
        if at_us.unsigned_abs() >= 100_000_000_000_000 {
            prop_assert_eq!(from_number(&format!("{at_us}000")), Some(at_us));
        }
    }

    #[test]
    fn the_exponent_changes_no_number(digits in 1_u64..=u64::MAX, exponent in -30..=30_i32) {
        let plain = match usize::try_from(exponent) {
            Ok(zeros) => format!("{digits}{}", "0".repeat(zeros)),
            Err(_) => {
                let places = exponent.unsigned_abs() as usize;
                let digits = format!("{digits:0>width$}", width = places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                format!("{whole}.{fraction}")
            }
        };
        prop_assert_eq!(from_number(&format!("{digits}e{exponent}")), from_number(&plain), "{}", plain);
    }
}

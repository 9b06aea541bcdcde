//! Days, months and years: what both date formats rest on.
//!
//! The Gregorian calendar, carried on to before its time, in UTC and without
//! leap seconds. A year is any that an `i64` of milliseconds reaches; what a
//! text can say ends at four digits.

use crate::time::UnixTime;

const DAY: i64 = 86_400;
/// From 0000-01-01 to 1970-01-01.
const EPOCH: i64 = 719_528;
/// The days of 400 years, after which the calendar repeats.
const CYCLE: i64 = 146_097;
/// The days of a common year before the first of each month.
const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// A point in time as the calendar and the clock show it. The order of its
/// members is that of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: u32,
    /// 1 to 31.
    pub(super) day: u32,
    pub(super) clock: Clock,
}

/// A year of four digits, as two numbers of two.
pub(super) fn year(century: u8, of_century: u8) -> i64 {
    i64::from(century)
        .saturating_mul(100)
        .saturating_add(of_century.into())
}

/// A time of day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Clock {
    /// Of the day, 0 to 86 399.
    second: u32,
    /// 0 to 999.
    milli: u32,
    /// Whether it was written as second 60. It then stands at the last
    /// millisecond of second 59, which keeps it after all that came before.
    leap: bool,
}

impl Clock {
    /// `None` where a part is out of its range. Whether a second 60 is where it
    /// may be is for [`Civil::to_unix`] to say.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "each part is below the bound that is tested first"
    )]
    pub(super) const fn new(hour: u32, minute: u32, second: u32, milli: u32) -> Option<Self> {
        if hour > 23 || minute > 59 || second > 60 || milli > 999 {
            return None;
        }
        let leap = second == 60;
        let start = hour * 3_600 + minute * 60;
        Some(Self {
            second: start + if leap { 59 } else { second },
            milli: if leap { 999 } else { milli },
            leap,
        })
    }

    /// Hour, minute, second.
    pub(super) const fn parts(self) -> (u32, u32, u32) {
        let minutes = self.second / 60;
        (minutes / 60, minutes % 60, self.second % 60)
    }

    /// Milliseconds of its second.
    pub(super) const fn milli(self) -> u32 {
        self.milli
    }
}

impl Civil {
    /// The same in UTC, where this is `offset` seconds ahead of it.
    ///
    /// `None` where there is no such day, or a second 60 is not the last of a
    /// day in UTC. On which days there was a leap second is not asked: the list
    /// grows, and no wait should fail on it.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a year of four digits and an offset of a day are far from the ends of an i64"
    )]
    #[inline]
    pub(super) fn to_unix(self, offset: i64) -> Option<UnixTime> {
        // Each month has 28 days.
        let has_day = self.day > 0 && (self.day <= 28 || self.day <= self.days_of_month()?);
        if self.year < 0 || self.year > 9_999 || !has_day {
            return None;
        }
        let days = days_before_month(self.year, self.month)? + i64::from(self.day) - 1 - EPOCH;
        let second = days * DAY + i64::from(self.clock.second) - offset;
        if self.clock.leap && second.rem_euclid(DAY) != DAY - 1 {
            return None;
        }
        Some(UnixTime::from_millis(
            second * 1_000 + i64::from(self.clock.milli),
        ))
    }

    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "remainders are below their divisors; days of an i64 of milliseconds are few"
    )]
    pub(super) fn from_unix(time: UnixTime) -> Self {
        let millis = time.as_millis();
        let seconds = millis.div_euclid(1_000);
        let days = seconds.div_euclid(DAY) + EPOCH;
        let of_cycle = days.rem_euclid(CYCLE);
        // No year is longer than 366 days, so this guess is never too late.
        let mut year = of_cycle / 366;
        while days_before_year(year + 1) <= of_cycle {
            year += 1;
        }
        let mut month = 12;
        while month > 1 && days_before_month(year, month).is_none_or(|first| first > of_cycle) {
            month -= 1;
        }
        let of_month = of_cycle - days_before_month(year, month).unwrap_or(0);
        Self {
            year: days.div_euclid(CYCLE) * 400 + year,
            month,
            day: of_month as u32 + 1,
            clock: Clock {
                second: seconds.rem_euclid(DAY) as u32,
                milli: millis.rem_euclid(1_000) as u32,
                leap: false,
            },
        }
    }

    /// The day of the week, 0 on Sunday.
    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "a remainder is below its divisor; days of an i64 of milliseconds are few"
    )]
    pub(super) const fn weekday(time: UnixTime) -> usize {
        // 1970-01-01 was a Thursday.
        (time.as_millis().div_euclid(DAY * 1_000) + 4).rem_euclid(7) as usize
    }

    /// `None` where there is no such month.
    pub(super) const fn days_of_month(self) -> Option<u32> {
        match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
            4 | 6 | 9 | 11 => Some(30),
            2 if is_leap(self.year) => Some(29),
            2 => Some(28),
            _ => None,
        }
    }
}

/// Of those that 4 divides all but the centuries that 400 does not divide, which
/// are those that 25 divides and 16 does not.
const fn is_leap(year: i64) -> bool {
    if year % 25 == 0 {
        year % 16 == 0
    } else {
        year % 4 == 0
    }
}

/// Days from 0000-01-01 to the first of `year`, which is from 0 to 9999.
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a year of four digits is far from the ends of a u32"
)]
#[expect(
    clippy::manual_div_ceil,
    reason = "`div_ceil` asks for the remainder as well, which shows in each date"
)]
const fn days_before_year(year: i64) -> i64 {
    // Quicker to divide.
    let year = year as u32;
    // Leap years so far: the year 0 is one, hence the rounding up.
    let leaps = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    (year * 365 + leaps) as i64
}

/// Days from 0000-01-01 to the first of `month` of `year`, which is from 0 to
/// 9999; `None` where there is no such month.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a number below 366 and one more"
)]
fn days_before_month(year: i64, month: u32) -> Option<i64> {
    let place = usize::try_from(month.checked_sub(1)?).ok()?;
    let common = BEFORE.get(place)?;
    // The leap day of a year comes after its February.
    let leap = month > 2 && is_leap(year);
    Some(days_before_year(year) + common + i64::from(leap))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn civil(year: i64, month: u32, day: u32) -> Civil {
        Civil {
            year,
            month,
            day,
            clock: Clock::new(0, 0, 0, 0).unwrap(),
        }
    }

    /// Counts days one by one, as a child would.
    #[test]
    fn each_day_of_ten_thousand_years_is_counted_once() {
        let mut days = -EPOCH;
        for year in 0..=9_999 {
            for month in 1..=12 {
                let length = civil(year, month, 1).days_of_month().unwrap();
                for day in [1, 2, length - 1, length] {
                    let date = civil(year, month, day);
                    let time = UnixTime::from_secs((days + i64::from(day) - 1) * DAY);
                    assert_eq!(date.to_unix(0), Some(time));
                    assert_eq!(Civil::from_unix(time), date);
                }
                assert_eq!(civil(year, month, length + 1).to_unix(0), None);
                days += i64::from(length);
            }
        }
        assert_eq!(days, 2_932_897, "to 10000-01-01");
    }

    #[test]
    fn the_ends_of_time_have_a_calendar() {
        for millis in [i64::MIN, i64::MAX] {
            let time = UnixTime::from_millis(millis);
            let end = Civil::from_unix(time);
            assert_eq!(end.year.abs() / 1_000_000, 292);
            assert!((1..=12).contains(&end.month) && (1..=31).contains(&end.day));
            assert!(Civil::weekday(time) < 7);
            assert_eq!(end.to_unix(0), None, "no text can say it");
        }
    }

    #[test]
    fn weekdays_go_on_through_the_epoch() {
        // 1969-12-12 was a Friday.
        for (day, weekday) in (-20_i64..20).zip((0..7).cycle().skip(5)) {
            let midnight = UnixTime::from_secs(day * DAY);
            let last = UnixTime::from_millis(midnight.as_millis() + DAY * 1_000 - 1);
            assert_eq!(Civil::weekday(midnight), weekday);
            assert_eq!(Civil::weekday(last), weekday);
        }
    }

    #[test]
    fn a_second_60_ends_a_day_and_nothing_else() {
        let at = |hour, minute, offset| {
            Civil {
                clock: Clock::new(hour, minute, 60, 7).unwrap(),
                ..civil(2016, 12, 31)
            }
            .to_unix(offset)
        };
        let last = UnixTime::from_millis(1_483_228_799_999);
        assert_eq!(at(23, 59, 0), Some(last));
        assert_eq!(at(18, 59, -5 * 3_600), Some(last));
        assert_eq!(at(23, 59, 3_600), None);
        assert_eq!(at(12, 0, 0), None);
        assert_eq!(Clock::new(24, 0, 0, 0), None);
        assert_eq!(Clock::new(23, 59, 61, 0), None);
    }
}

//! Dates as JavaScript prints them, which some servers send as a reset.
//!
//! `Date.prototype.toString` gives `Tue Feb 16 2021 09:02:42 GMT+0100`, and
//! after it the name of the zone in brackets, which says nothing more.

use super::{
    calendar::{Civil, Clock},
    http_date::{is_short_day, month},
    number::{four, two},
};
use crate::time::UnixTime;

/// `None` for all that is not exactly such a date.
pub(super) fn parse(text: &[u8]) -> Option<UnixTime> {
    let (weekday, rest) = text.split_first_chunk::<3>()?;
    let &[
        b' ',
        o0,
        o1,
        o2,
        b' ',
        d0,
        d1,
        b' ',
        y0,
        y1,
        y2,
        y3,
        b' ',
        h0,
        h1,
        b':',
        m0,
        m1,
        b':',
        s0,
        s1,
        b' ',
        b'G',
        b'M',
        b'T',
        sign,
        z0,
        z1,
        z2,
        z3,
        ref zone @ ..,
    ] = rest
    else {
        return None;
    };
    if !matches!(zone, [] | [b' ', b'(', .., b')']) || !is_short_day(*weekday) {
        return None;
    }
    let (hours, minutes) = (two([z0, z1])?, two([z2, z3])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = i64::from(hours.checked_mul(60)?.checked_add(minutes)?).checked_mul(60)?;
    Civil {
        year: four([y0, y1, y2, y3])?.into(),
        month: month([o0, o1, o2])?,
        day: two([d0, d1])?,
        clock: Clock::new(two([h0, h1])?, two([m0, m1])?, two([s0, s1])?, 0)?,
    }
    .to_unix(match sign {
        b'+' => ahead,
        b'-' => ahead.checked_neg()?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_the_name_of_the_zone() {
        let time = Some(UnixTime::from_secs(1_613_462_562));
        for text in [
            "Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)",
            "Tue Feb 16 2021 09:02:42 GMT+0100",
            "Tue Feb 16 2021 08:02:42 GMT+0000 (Coordinated Universal Time)",
            "Tue Feb 16 2021 03:02:42 GMT-0500 (EST)",
        ] {
            assert_eq!(parse(text.as_bytes()), time, "{text}");
        }
    }

    #[test]
    fn what_is_not_quite_one_is_not_read() {
        for text in [
            "",
            "Tue Feb 16 2021",
            "Tue Feb 16 2021 09:02:42",
            "Tue Feb 16 2021 09:02:42 GMT",
            "Tue Feb 16 2021 09:02:42 UTC+0100",
            "Tue Feb 16 2021 09:02:42 GMT*0100",
            "Tue Feb 16 2021 09:02:42 GMT+2400",
            "Tue Feb 16 2021 09:02:42 GMT+0160",
            "Tue Feb 16 2021 09:02:42 GMT+0100 (CET",
            "Tue Feb 16 2021 09:02:42 GMT+0100 CET)",
            "Tue Feb 30 2021 09:02:42 GMT+0100",
            "Zue Feb 16 2021 09:02:42 GMT+0100",
            "Tue, 16 Feb 2021 09:02:42 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}

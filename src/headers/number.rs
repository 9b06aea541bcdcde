//! Numbers as header values write them: plain ASCII digits and nothing else.

use core::time::Duration;

/// How eight bytes are to look: a `0` stands for any digit, a `_` for any byte,
/// all else for itself. They are looked at together, as one number: most of what
/// is read is as it should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    bytes: u64,
    /// All bits of those that must be digits, and of those that must be as they
    /// are.
    digits: u64,
    fixed: u64,
}

impl Form {
    pub(super) const fn of(form: [u8; 8]) -> Self {
        let (mut digits, mut fixed) = ([0; 8], [0; 8]);
        let mut rest: &[u8] = &form;
        let (mut digit, mut fix): (&mut [u8], &mut [u8]) = (&mut digits, &mut fixed);
        while let ([byte, bytes @ ..], [d, ds @ ..], [f, fs @ ..]) = (rest, digit, fix) {
            match *byte {
                b'0' => *d = 0xff,
                b'_' => {}
                _ => *f = 0xff,
            }
            (rest, digit, fix) = (bytes, ds, fs);
        }
        Self {
            bytes: u64::from_le_bytes(form),
            digits: u64::from_le_bytes(digits),
            fixed: u64::from_le_bytes(fixed),
        }
    }

    /// The number that each two digits make which stand side by side, at the
    /// place of the first of them; `None` where `text` does not look like this.
    #[inline]
    pub(super) const fn pairs(self, text: [u8; 8]) -> Option<[u8; 8]> {
        // What is as it should be leaves 0 to 9 of a digit, and nothing of the
        // rest.
        let left = u64::from_le_bytes(text) ^ self.bytes;
        let digits = left & self.digits;
        if left & self.fixed != 0 || !are_digits(digits) {
            return None;
        }
        // No byte runs over: 99 is the most.
        let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
        Some(pairs.to_le_bytes())
    }
}

/// Two digits.
pub(super) fn two(digits: [u8; 2]) -> Option<u32> {
    let [tens, ones] = digits;
    digit(tens)?.checked_mul(10)?.checked_add(digit(ones)?)
}

/// Four digits.
pub(super) fn four(digits: [u8; 4]) -> Option<u32> {
    let [a, b, c, d] = digits;
    two([a, b])?.checked_mul(100)?.checked_add(two([c, d])?)
}

/// `1*DIGIT`. `None` also where a `u64` does not hold it.
#[inline]
pub(super) fn unsigned(text: &[u8]) -> Option<u64> {
    // A limit in tokens mostly has so many.
    match text.len() {
        4..=8 => four_to_eight(text),
        _ => one_by_one(text),
    }
}

/// As many digits at once, because most that is read is so long.
#[inline]
fn four_to_eight(text: &[u8]) -> Option<u64> {
    const ZEROS: u64 = u64::from_le_bytes(*b"00000000");
    let (first, last) = (text.first_chunk()?, text.last_chunk()?);
    let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
    // Eight places, the last of them for the last digit. Where both halves say
    // a digit, they say the same.
    let missing = 8_usize.saturating_sub(text.len());
    let shift = u32::try_from(missing).ok()?.saturating_mul(8);
    let digits = u64::from(first).wrapping_shl(shift) | u64::from(last) << 32;
    let digits = digits ^ ZEROS.wrapping_shl(shift);
    if !are_digits(digits) {
        return None;
    }
    let twos = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = twos.wrapping_mul(100).wrapping_add(twos >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

/// Whether each byte is 0 to 9: six more make 16 of whatever is above 9.
#[inline]
const fn are_digits(bytes: u64) -> bool {
    const SIX: u64 = u64::from_le_bytes([6; 8]);
    const HIGH: u64 = u64::from_le_bytes([0xf0; 8]);
    (bytes | bytes.wrapping_add(SIX)) & HIGH == 0
}

fn one_by_one(text: &[u8]) -> Option<u64> {
    // So many digits always fit.
    const FIT: usize = 19;
    if text.is_empty() {
        return None;
    }
    if text.len() <= FIT {
        return text.iter().try_fold(0_u64, |number, &byte| {
            let ones = u64::from(digit(byte)?);
            Some(number.wrapping_mul(10).wrapping_add(ones))
        });
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        number.checked_mul(10)?.checked_add(u64::from(digit(byte)?))
    })
}

/// `["-"] 1*DIGIT`. `None` also where an `i64` does not hold it.
pub(super) fn signed(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', magnitude @ ..] => 0_i64.checked_sub_unsigned(unsigned(magnitude)?),
        _ => i64::try_from(unsigned(text)?).ok(),
    }
}

/// Seconds, as `1*DIGIT ["." 1*DIGIT]`.
///
/// What is finer than a nanosecond is rounded up, so that nobody comes early.
/// More than a `u64` of seconds is as many as it holds.
pub(super) fn seconds(text: &[u8]) -> Option<Duration> {
    let (whole, nanos) = decimal(text, 1_000_000_000)?;
    Some(Duration::from_secs(whole).saturating_add(nanos))
}

/// Milliseconds, as [`seconds`].
pub(super) fn millis(text: &[u8]) -> Option<Duration> {
    let (whole, nanos) = decimal(text, 1_000_000)?;
    Some(Duration::from_millis(whole).saturating_add(nanos))
}

/// A plain number as `["-"] 1*DIGIT ["." 1*DIGIT]`, in thousandths. What is
/// finer is rounded away from zero; what an `i64` does not hold is as much as
/// it holds.
pub(super) fn thousandths(text: &[u8]) -> Option<i64> {
    scaled(text, 1_000)
}

/// A share as `1*DIGIT ["." 1*DIGIT]` with 1 as the whole, in millionths,
/// rounded up.
pub(super) fn millionths(text: &[u8]) -> Option<i64> {
    scaled(text, 1_000_000).filter(|share| *share >= 0)
}

/// `scale` is a power of ten.
fn scaled(text: &[u8], scale: u64) -> Option<i64> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = saturating(parts.next()?)?;
    let rest = parts
        .next()
        .map_or(Some(0), |digits| fraction(digits, scale))?;
    let magnitude = i64::try_from(whole.saturating_mul(scale).saturating_add(rest));
    let magnitude = magnitude.unwrap_or(i64::MAX);
    Some(if is_negative {
        magnitude.saturating_neg()
    } else {
        magnitude
    })
}

/// `1*DIGIT ["." 1*DIGIT]`, cut to the whole.
pub(super) fn floor(text: &[u8]) -> Option<u64> {
    if let Some(whole) = unsigned(text) {
        return Some(whole);
    }
    match text.iter().position(|&byte| byte == b'.') {
        Some(point) => {
            let (whole, rest) = text.split_at_checked(point)?;
            fraction(rest.get(1..)?, 1)?;
            unsigned(whole)
        }
        None => None,
    }
}

/// A number with commas between groups of three digits, as `10,000`.
///
/// A list of numbers looks the same: `100,100`. So one of the groups must begin
/// with a 0, as no number of its own does.
pub(super) fn with_commas(text: &[u8]) -> Option<u64> {
    let mut groups = text.split(|&byte| byte == b',');
    let first = groups.next()?;
    if !matches!(
        first,
        [b'1'..=b'9'] | [b'1'..=b'9', _] | [b'1'..=b'9', _, _]
    ) {
        return None;
    }
    let (mut number, mut has_zero) = (unsigned(first)?, false);
    for group in groups {
        let [first, _, _] = group else {
            return None;
        };
        has_zero |= *first == b'0';
        number = number.checked_mul(1_000)?.checked_add(unsigned(group)?)?;
    }
    has_zero.then_some(number)
}

/// The whole units, and the rest of a unit that has `nanos` nanoseconds.
fn decimal(text: &[u8], nanos: u64) -> Option<(u64, Duration)> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = saturating(parts.next()?)?;
    let rest = match parts.next() {
        Some(digits) => fraction(digits, nanos)?,
        None => 0,
    };
    Some((whole, Duration::from_nanos(rest)))
}

/// `1*DIGIT`, at most what a `u64` holds.
fn saturating(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let ones = u64::from(digit(byte)?);
        Some(number.saturating_mul(10).saturating_add(ones))
    })
}

/// The digits after a point in units of which `unit`, a power of ten, make a
/// whole; rounded up.
fn fraction(digits: &[u8], unit: u64) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let (mut place, mut sum, mut finer) = (unit, 0_u64, false);
    for &byte in digits {
        let digit = u64::from(digit(byte)?);
        place /= 10;
        sum = sum.saturating_add(digit.saturating_mul(place));
        finer |= place == 0 && digit > 0;
    }
    Some(sum.saturating_add(u64::from(finer)))
}

const fn digit(byte: u8) -> Option<u32> {
    match byte.wrapping_sub(b'0') {
        digit @ 0..=9 => Some(digit as u32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is no number in any of the forms.
    const BAD: [&[u8]; 17] = [
        b"",
        b"+5",
        b" 5",
        b"5 ",
        b"5 0",
        b"1,000",
        b"1_000",
        b"0x10",
        b"1e3",
        b"inf",
        b"nan",
        b"5s",
        b"-",
        b"--5",
        b"5-",
        b"\xd9\xa5",
        b"5\0",
    ];

    #[test]
    fn whole_numbers_are_digits_within_their_range() {
        assert_eq!(unsigned(b"0"), Some(0));
        assert_eq!(unsigned(b"007"), Some(7));
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551616"), None);
        assert_eq!(unsigned(b"-1"), None);
        assert_eq!(signed(b"-27689"), Some(-27_689));
        assert_eq!(signed(b"-0"), Some(0));
        assert_eq!(signed(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"-9223372036854775809"), None);
        for bad in BAD.into_iter().chain([&b"1.0"[..], b"1.", b".5"]) {
            assert_eq!(unsigned(bad), None, "{bad:?}");
            assert_eq!(signed(bad), None, "{bad:?}");
        }
    }

    /// Every byte at every place, of every length that is read at once.
    #[test]
    fn digits_read_at_once_come_to_what_they_are_one_by_one() {
        for len in 4..=8 {
            let text = &b"90817263"[..len];
            assert_eq!(four_to_eight(text), one_by_one(text));
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = text.to_vec();
                    text[place] = byte;
                    assert_eq!(four_to_eight(&text), one_by_one(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn spans_are_whole_or_have_digits_on_both_sides_of_the_point() {
        assert_eq!(seconds(b"505"), Some(Duration::from_secs(505)));
        assert_eq!(seconds(b"1.234"), Some(Duration::from_millis(1_234)));
        assert_eq!(seconds(b"0.5"), Some(Duration::from_millis(500)));
        assert_eq!(millis(b"1300"), Some(Duration::from_millis(1_300)));
        assert_eq!(millis(b"10.5"), Some(Duration::from_micros(10_500)));
        for bad in BAD
            .into_iter()
            .chain([&b"1."[..], b".5", b".", b"1.2.3", b"-1", b"1.-5"])
        {
            assert_eq!(seconds(bad), None, "{bad:?}");
            assert_eq!(millis(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_finer_than_a_nanosecond_rounds_up() {
        assert_eq!(seconds(b"0.0000000001"), Some(Duration::from_nanos(1)));
        assert_eq!(seconds(b"0.0000000010"), Some(Duration::from_nanos(1)));
        assert_eq!(seconds(b"0.99999999999"), Some(Duration::from_secs(1)));
        assert_eq!(millis(b"0.0000001"), Some(Duration::from_nanos(1)));
    }

    #[test]
    fn a_span_beyond_all_is_the_longest() {
        let most = Duration::from_secs(u64::MAX);
        let long = b"99999999999999999999999999999999999";
        assert_eq!(seconds(long), Some(most));
        assert_eq!(millis(long), Some(Duration::from_millis(u64::MAX)));
        assert!(seconds(b"18446744073709551615.99999999999").unwrap() > most);
    }

    #[test]
    fn plain_numbers_are_scaled_and_rounded_away_from_zero() {
        for (text, thousandth) in [
            (&b"0"[..], 0),
            (b"1655120964", 1_655_120_964_000),
            (b"33011.382867813", 33_011_383),
            (b"1.5", 1_500),
            (b"-1", -1_000),
            (b"-0.0001", -1),
            (b"99999999999999999999", i64::MAX),
            (b"-99999999999999999999", -i64::MAX),
        ] {
            assert_eq!(thousandths(text), Some(thousandth), "{text:?}");
        }
        assert_eq!(millionths(b"0.04828545454545455"), Some(48_286));
        assert_eq!(millionths(b"1.003354090909091"), Some(1_003_355));
        assert_eq!(millionths(b"-0.5"), None);
        assert_eq!(floor(b"598.7"), Some(598));
        assert_eq!(floor(b"598"), Some(598));
        for bad in BAD.into_iter().chain([&b"1."[..], b".5", b".", b"1.2.3"]) {
            assert_eq!(thousandths(bad), None, "{bad:?}");
            assert_eq!(millionths(bad), None, "{bad:?}");
            assert_eq!(floor(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn commas_between_thousands_are_told_from_lists() {
        assert_eq!(with_commas(b"1,000"), Some(1_000));
        assert_eq!(with_commas(b"12,345,067"), Some(12_345_067));
        for text in [
            "100,100", "1000", "1,00", "1, 000", "0,000", "1,0000", ",000", "1,000,", "1,0x0",
        ] {
            assert_eq!(with_commas(text.as_bytes()), None, "{text}");
        }
        assert_eq!(with_commas(b"99,999,999,999,999,999,000"), None);
    }

    #[test]
    fn fixed_digits_are_digits() {
        assert_eq!(two(*b"09"), Some(9));
        assert_eq!(four(*b"1994"), Some(1994));
        assert_eq!(two(*b" 9"), None);
        assert_eq!(four(*b"+199"), None);
    }
}

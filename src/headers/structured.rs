//! Structured fields (RFC 9651, which supersedes RFC 8941): lists and
//! dictionaries of items with parameters.
//!
//! What the IETF draft on rate limits needs of them, and no more: inner lists
//! are not read. All kinds of bare items are, because a parameter that nobody
//! knows may hold any. As the RFC demands, a field that breaks the grammar at
//! any place says nothing at all; [`SfList::parse`] walks the whole once before
//! it hands out the first member.
//!
//! The `sfv` crate is the oracle. It keeps of a parameter or key that comes
//! twice the last value, as the RFC has it; here all are handed out, in their
//! order, so that nothing is allocated, and [`SfParams::get`] gives the last.

use core::fmt;

/// The members of a list, each an item with its parameters.
///
/// ```
/// use sendwhen::{SfItem, SfList};
///
/// let mut list = SfList::parse(b"\"burst\";q=100;w=60, \"daily\";q=1000").unwrap();
/// let (name, params) = list.next().unwrap();
/// assert_eq!(name, SfItem::String(b"burst"));
/// assert_eq!(params.get(b"w"), Some(SfItem::Integer(60)));
/// assert_eq!(list.count(), 1);
///
/// assert!(SfList::parse(b"\"burst\";q=").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct SfList<'a> {
    /// Well-formed, without blanks before it.
    rest: &'a [u8],
}

/// The members of a dictionary: a key, an item, and its parameters. A key that
/// stands alone is `true`.
///
/// ```
/// use sendwhen::{SfDictionary, SfItem};
///
/// let mut fields = SfDictionary::parse(b"limit=100, remaining=50").unwrap();
/// let (key, item, _) = fields.next().unwrap();
/// assert_eq!((key, item), (&b"limit"[..], SfItem::Integer(100)));
/// ```
#[derive(Clone, Debug)]
pub struct SfDictionary<'a> {
    rest: &'a [u8],
}

/// The parameters of a member.
#[derive(Clone, Debug)]
pub struct SfParams<'a> {
    rest: &'a [u8],
}

/// A bare item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SfItem<'a> {
    /// Up to 15 digits and a sign.
    Integer(i64),
    /// Up to 12 digits, a point and up to 3 digits, in thousandths.
    Decimal(i64),
    /// What stands between the quotes, with the backslashes that are in it.
    String(&'a [u8]),
    /// A word.
    Token(&'a [u8]),
    /// What stands between the colons: letters, digits, `+`, `/` and `=`.
    Bytes(&'a [u8]),
    /// `?0` or `?1`.
    Boolean(bool),
    /// `@` and seconds of the Unix clock.
    Date(i64),
    /// What stands between the quotes of `%"..."`, with its percent signs.
    Display(&'a [u8]),
}

/// Prints it as [`SfList::parse`] reads it.
///
/// ```
/// use sendwhen::SfItem;
///
/// assert_eq!(SfItem::Decimal(-4_500).to_string(), "-4.5");
/// assert_eq!(SfItem::String(b"burst").to_string(), "\"burst\"");
/// ```
impl fmt::Display for SfItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| core::str::from_utf8(bytes).map_err(|_| fmt::Error);
        match *self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Decimal(thousandths) => {
                let sign = if thousandths < 0 { "-" } else { "" };
                let size = thousandths.unsigned_abs();
                write!(f, "{sign}{}.", size / 1_000)?;
                match size % 1_000 {
                    rest if rest % 100 == 0 => write!(f, "{}", rest / 100),
                    rest if rest % 10 == 0 => write!(f, "{:02}", rest / 10),
                    rest => write!(f, "{rest:03}"),
                }
            }
            Self::String(inside) => write!(f, "\"{}\"", text(inside)?),
            Self::Token(token) => f.write_str(text(token)?),
            Self::Bytes(base64) => write!(f, ":{}:", text(base64)?),
            Self::Boolean(bit) => write!(f, "?{}", u8::from(bit)),
            Self::Date(seconds) => write!(f, "@{seconds}"),
            Self::Display(inside) => write!(f, "%\"{}\"", text(inside)?),
        }
    }
}

impl<'a> SfList<'a> {
    /// `None` where `text` breaks the grammar, or has an inner list in it.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let rest = field(text, |text| params(item(text)?.1))?;
        Some(Self { rest })
    }

    /// The item at the start of `text`, whatever follows.
    pub(super) fn first(text: &'a [u8]) -> Option<SfItem<'a>> {
        item(text).map(|(item, _)| item)
    }
}

impl<'a> Iterator for SfList<'a> {
    type Item = (SfItem<'a>, SfParams<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (item, rest) = item(self.rest)?;
        let after = params(rest)?;
        self.rest = comma(after).unwrap_or_default();
        Some((item, SfParams { rest }))
    }
}

impl<'a> SfDictionary<'a> {
    /// `None` where `text` breaks the grammar, or has an inner list in it.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let rest = field(text, |text| params(keyed(text)?.2))?;
        Some(Self { rest })
    }
}

impl<'a> Iterator for SfDictionary<'a> {
    type Item = (&'a [u8], SfItem<'a>, SfParams<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, item, rest) = keyed(self.rest)?;
        let after = params(rest)?;
        self.rest = comma(after).unwrap_or_default();
        Some((key, item, SfParams { rest }))
    }
}

impl<'a> SfParams<'a> {
    /// The last value under `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<SfItem<'a>> {
        let mut last = None;
        for (name, item) in self.clone() {
            if name == key {
                last = Some(item);
            }
        }
        last
    }
}

impl<'a> Iterator for SfParams<'a> {
    type Item = (&'a [u8], SfItem<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let [b';', rest @ ..] = self.rest else {
            return None;
        };
        let (key, item, rest) = keyed(blanks(rest, b" "))?;
        self.rest = rest;
        Some((key, item))
    }
}

/// Walks over all members of `text`, and gives it without the blanks before the
/// first. `member` gives what follows the member that it is handed.
fn field(text: &[u8], member: impl Fn(&[u8]) -> Option<&[u8]>) -> Option<&[u8]> {
    let text = blanks(text, b" ");
    let mut rest = text;
    while !rest.is_empty() {
        let after = member(rest)?;
        rest = match blanks(after, b" \t") {
            [] => break,
            _ => comma(after)?,
        };
    }
    Some(text)
}

/// What follows the comma, which must be followed by something.
fn comma(text: &[u8]) -> Option<&[u8]> {
    let [b',', rest @ ..] = blanks(text, b" \t") else {
        return None;
    };
    Some(blanks(rest, b" \t")).filter(|rest| !rest.is_empty())
}

fn blanks<'a>(mut text: &'a [u8], which: &[u8]) -> &'a [u8] {
    while let [first, rest @ ..] = text {
        if !which.contains(first) {
            break;
        }
        text = rest;
    }
    text
}

/// What follows the parameters at the start of `text`.
fn params(mut text: &[u8]) -> Option<&[u8]> {
    while let [b';', rest @ ..] = text {
        (_, _, text) = keyed(blanks(rest, b" "))?;
    }
    Some(text)
}

/// A key, its value, and what follows.
fn keyed(text: &[u8]) -> Option<(&[u8], SfItem<'_>, &[u8])> {
    if !matches!(text, [b'a'..=b'z' | b'*', ..]) {
        return None;
    }
    let (key, rest) = split(
        text,
        |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'),
    )?;
    match rest {
        [b'=', rest @ ..] => item(rest).map(|(item, rest)| (key, item, rest)),
        _ => Some((key, SfItem::Boolean(true), rest)),
    }
}

/// The bare item at the start of `text`, and what follows it.
fn item(text: &[u8]) -> Option<(SfItem<'_>, &[u8])> {
    match text {
        [b'-' | b'0'..=b'9', ..] => number(text),
        [b'"', rest @ ..] => string(rest),
        [b'a'..=b'z' | b'A'..=b'Z' | b'*', ..] => {
            let (token, rest) = split(text, is_token)?;
            Some((SfItem::Token(token), rest))
        }
        [b':', rest @ ..] => {
            let (bytes, rest) = split(rest, |b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))?;
            let rest = rest.strip_prefix(b":")?;
            is_base64(bytes).then_some((SfItem::Bytes(bytes), rest))
        }
        [b'?', bit @ (b'0' | b'1'), rest @ ..] => Some((SfItem::Boolean(*bit == b'1'), rest)),
        [b'@', rest @ ..] => match number(rest)? {
            (SfItem::Integer(seconds), rest) => Some((SfItem::Date(seconds), rest)),
            _ => None,
        },
        [b'%', b'"', rest @ ..] => display(rest),
        _ => None,
    }
}

fn number(text: &[u8]) -> Option<(SfItem<'_>, &[u8])> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (whole, rest) = split(text, |byte| byte.is_ascii_digit())?;
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => {
            let (digits, rest) = split(rest, |byte| byte.is_ascii_digit())?;
            (Some(digits), rest)
        }
        _ => (None, rest),
    };
    let most = if fraction.is_some() { 12 } else { 15 };
    let is_short = fraction.is_none_or(|digits| (1..=3).contains(&digits.len()));
    if whole.is_empty() || whole.len() > most || !is_short {
        return None;
    }
    let mut value = digits(0, whole)?;
    if let Some(fraction) = fraction {
        value = digits(value, fraction)?;
        for _missing in fraction.len()..3 {
            value = value.checked_mul(10)?;
        }
    }
    if is_negative {
        value = value.checked_neg()?;
    }
    let item = match fraction {
        Some(_) => SfItem::Decimal(value),
        None => SfItem::Integer(value),
    };
    Some((item, rest))
}

fn digits(start: i64, text: &[u8]) -> Option<i64> {
    text.iter().try_fold(start, |sum, byte| {
        sum.checked_mul(10)?
            .checked_add(i64::from(byte.wrapping_sub(b'0')))
    })
}

/// A string after its first quote.
fn string(text: &[u8]) -> Option<(SfItem<'_>, &[u8])> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', after @ ..] => {
                let inside = text.get(..text.len().checked_sub(rest.len())?)?;
                return Some((SfItem::String(inside), after));
            }
            [b'\\', b'"' | b'\\', after @ ..] => after,
            [b'\\', ..] => return None,
            [b' '..=b'~', after @ ..] => after,
            _ => return None,
        };
    }
}

/// A display string after its first quote. What it decodes to must be UTF-8.
fn display(text: &[u8]) -> Option<(SfItem<'_>, &[u8])> {
    let mut rest = text;
    let mut utf8 = Utf8::default();
    loop {
        rest = match rest {
            [b'"', after @ ..] => {
                let inside = text.get(..text.len().checked_sub(rest.len())?)?;
                return utf8.is_whole().then_some((SfItem::Display(inside), after));
            }
            [b'%', high, low, after @ ..] => {
                let byte = hex(*high)?.checked_mul(16)?.checked_add(hex(*low)?)?;
                utf8.push(byte)?;
                after
            }
            [b'%', ..] => return None,
            [byte @ b' '..=b'~', after @ ..] => {
                utf8.push(*byte)?;
                after
            }
            _ => return None,
        };
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// UTF-8, byte by byte: the character that is begun.
#[derive(Default)]
struct Utf8 {
    bytes: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// `None` where the bytes so far can be no UTF-8.
    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len = self.len.checked_add(1)?;
        match core::str::from_utf8(self.bytes.get(..self.len)?) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_some() => return None,
            Err(_) => {}
        }
        Some(())
    }

    const fn is_whole(&self) -> bool {
        self.len == 0
    }
}

/// Whether `text` is base64 as RFC 4648 writes it. Its padding may be missing,
/// in part too, as the RFC on structured fields asks of parsers.
fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let (body, _) = text
        .split_at_checked(text.len().saturating_sub(padding))
        .unwrap_or((text, &[]));
    let fits = match body.len() % 4 {
        0 => padding == 0,
        2 => padding <= 2,
        3 => padding <= 1,
        _ => false,
    };
    fits && !body.contains(&b'=')
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
                | b':'
                | b'/'
        )
}

/// The bytes at the start of `text` for which `which` holds, and the rest.
fn split(text: &[u8], which: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let count = text.iter().take_while(|byte| which(**byte)).count();
    text.split_at_checked(count)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn items(text: &str) -> Option<Vec<SfItem<'_>>> {
        Some(
            SfList::parse(text.as_bytes())?
                .map(|(item, _)| item)
                .collect(),
        )
    }

    #[test]
    fn each_kind_of_item_is_read() {
        use SfItem::{Boolean, Bytes, Date, Decimal, Display, Integer, String, Token};
        for (text, item) in [
            ("42", Integer(42)),
            ("-0", Integer(0)),
            ("007", Integer(7)),
            ("999999999999999", Integer(999_999_999_999_999)),
            ("4.5", Decimal(4_500)),
            ("-0.125", Decimal(-125)),
            ("\"a \\\"b\\\\\"", String(b"a \\\"b\\\\")),
            ("*foo:bar/1", Token(b"*foo:bar/1")),
            (":cHsdsRa894==:", Bytes(b"cHsdsRa894==")),
            ("::", Bytes(b"")),
            ("?1", Boolean(true)),
            ("@1659578233", Date(1_659_578_233)),
            ("%\"f%c3%bc\"", Display(b"f%c3%bc")),
        ] {
            assert_eq!(items(text), Some([item].into()), "{text}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_anywhere_says_nothing() {
        for text in [
            ",",
            "1,",
            "1,,2",
            "1 2",
            "\t1",
            "1;",
            "1;A=2",
            "1;\"api\"",
            "1;a=",
            "1;a =2",
            "(1 2)",
            "1000000000000000",
            "1.",
            "1.0000",
            "1234567890123.0",
            "--1",
            "+1",
            ".5",
            "\"a",
            "\"\\n\"",
            "\"\u{fc}\"",
            ":a:",
            ":a?:",
            ":ab===:",
            ":ab==c:",
            "?2",
            "@1.5",
            "%\"%FC\"",
            "%\"%fc\"",
            "%\"%c3\"",
            "%\"%c\"",
            "{",
            "\u{fc}",
        ] {
            assert_eq!(items(text), None, "{text}");
        }
        assert_eq!(items(""), Some([].into()));
        assert_eq!(items("   "), Some([].into()));
        assert_eq!(items(" 1 \t,\t2\t ").unwrap().len(), 2);
    }

    #[test]
    fn of_a_parameter_that_comes_twice_the_last_counts() {
        let (_, params) = SfList::parse(b"x;a=1; b;a=2").unwrap().next().unwrap();
        assert_eq!(params.get(b"a"), Some(SfItem::Integer(2)));
        assert_eq!(params.get(b"b"), Some(SfItem::Boolean(true)));
        assert_eq!(params.get(b"c"), None);
        assert_eq!(params.count(), 3);
    }

    #[test]
    fn a_dictionary_has_keys() {
        let mut members = SfDictionary::parse(b"limit=10, alone;x=1, reset=1").unwrap();
        assert!(matches!(
            members.next(),
            Some((b"limit", SfItem::Integer(10), _))
        ));
        assert!(matches!(
            members.next(),
            Some((b"alone", SfItem::Boolean(true), _))
        ));
        assert!(matches!(
            members.next(),
            Some((b"reset", SfItem::Integer(1), _))
        ));
        assert!(members.next().is_none());
        assert!(SfDictionary::parse(b"\"default\";r=50").is_none());
        assert!(SfDictionary::parse(b"limit=10,").is_none());
    }
}

//! Any set of header fields: what must hold of the hints whatever it says.
//!
//! The input is read as lines of `name: value`; a line without a colon is a
//! name with an empty value. A first line `@ N` is when it was received, in
//! milliseconds.

use sendwhen::{
    Dialect, Field, HeaderParser, HttpDate, Rfc3339, ServerHints, SfDictionary, SfList, UnixTime,
    parse_http_date, parse_rfc3339,
};

type Pair = (Vec<u8>, Vec<u8>);

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let (received, fields) = decode(data);
    let hints = parse(&fields, received);

    let mut reversed = fields.clone();
    reversed.reverse();
    assert_eq!(parse(&reversed, received), hints, "in reversed order");

    let mut sorted = fields.clone();
    sorted.sort();
    assert_eq!(parse(&sorted, received), hints, "in sorted order");

    let mut twice = fields.clone();
    twice.extend_from_slice(&reversed);
    assert_eq!(parse(&twice, received), hints, "each field twice");

    let recased = |case: fn(&[u8]) -> Vec<u8>| -> Vec<Pair> {
        let recase = |(name, value): &Pair| (case(name), value.clone());
        fields.iter().map(recase).collect()
    };
    let upper = recased(<[u8]>::to_ascii_uppercase);
    let lower = recased(<[u8]>::to_ascii_lowercase);
    assert_eq!(parse(&upper, received), hints, "names in capitals");
    assert_eq!(parse(&lower, received), hints, "names in small letters");

    let blank = |(name, value): &Pair| (name.clone(), [b" \t", &value[..], b"\t "].concat());
    let blanks: Vec<Pair> = fields.iter().map(blank).collect();
    if fields.iter().all(|(_, value)| value.len() <= 1020) {
        assert_eq!(parse(&blanks, received), hints, "blanks around values");
    }

    let (front, back) = fields.split_at(fields.len() / 2);
    let rotated = [back, front].concat();
    assert_eq!(parse(&rotated, received), hints, "begun in the middle");

    check_one_by_one(&fields, received, &hints);
    check_values(&fields, received, &hints);
    check_joined(&fields, received, &hints);
    for (_, value) in &fields {
        check_dates(value, received);
    }
}

/// What holds of the values whatever they are, and whoever is said to have sent
/// them.
fn check_values(fields: &[Pair], received: Option<UnixTime>, hints: &ServerHints) {
    for dialect in Dialect::ALL {
        let mut parser = HeaderParser::new().dialect(dialect);
        parser.fields(fields.iter().map(|(name, value)| (name, value)));
        let told = match received {
            Some(received) => parser.received(received).finish(),
            None => parser.finish(),
        };
        assert_eq!(told.dialect, dialect);
        assert_eq!(
            (told.date, told.retry_after),
            (hints.date, hints.retry_after)
        );
        if dialect == hints.dialect {
            assert_eq!(told, *hints, "what is found out, said");
        }
        for meter in &told.meters {
            let is_said = meter.limit.is_some()
                || meter.remaining.is_some()
                || meter.reset.is_some()
                || meter.status.is_some();
            assert!(is_said, "{meter:?}");
            let leads = told.meters.find(meter.family, meter.unit);
            assert!(leads.is_some_and(|leads| leads.family == meter.family));
            if let (Some(reset), None) = (meter.reset, told.date) {
                let is_span = matches!(reset.given, sendwhen::ResetGiven::In { .. });
                assert_eq!(reset.after_date_ms.is_some(), is_span);
            }
        }
    }
}

/// Fields that mean nothing change nothing, nor does asking in between.
fn check_one_by_one(fields: &[Pair], received: Option<UnixTime>, hints: &ServerHints) {
    let mut parser = HeaderParser::new();
    for (name, value) in fields {
        let before = parser.finish();
        assert_eq!(parser.field(b"x-unknown", value), Field::Ignored);
        assert_eq!(parser.field(&[b'a'; 65], value), Field::Ignored);
        assert_eq!(parser.finish(), before, "a field that means nothing");
        let outcome = parser.field(name, value);
        if outcome == Field::TooLong {
            assert!(value.len() > 1024);
        }
    }
    if let Some(received) = received {
        parser = parser.received(received);
    }
    assert_eq!(parser.finish(), *hints, "fed one by one");
}

/// A list says what its members say one by one. That holds where each value is
/// whole by itself: what has a comma or parameters in it may be cut there.
fn check_joined(fields: &[Pair], received: Option<UnixTime>, hints: &ServerHints) {
    for (name, _) in fields {
        let (listed, mut rest): (Vec<Pair>, Vec<Pair>) = fields
            .iter()
            .cloned()
            .partition(|(field, _)| field.eq_ignore_ascii_case(name));
        let values: Vec<&[u8]> = listed.iter().map(|(_, value)| &value[..]).collect();
        let joined = values.join(&b", "[..]);
        if listed.len() < 2 || joined.len() > 1024 || !is_list(name, &values, &joined) {
            continue;
        }
        rest.push((name.clone(), joined));
        assert_eq!(parse(&rest, received), *hints, "joined");
    }
}

fn is_list(name: &[u8], values: &[&[u8]], joined: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    // The name of a pool is one word.
    if [&b"resource"[..], b"key"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return false;
    }
    if [&b"ratelimit"[..], b"ratelimit-policy"].contains(&&name[..]) {
        let is_whole = |value: &[u8]| {
            !value.trim_ascii().is_empty()
                && (SfList::parse(value).is_some() || SfDictionary::parse(value).is_some())
        };
        let is_list = |value: &[u8]| SfList::parse(value).is_some();
        let all_lists = values.iter().all(|value| is_list(value));
        let any_list = values.iter().any(|value| is_list(value));
        // A word by itself may be a member of either.
        return all_lists == any_list
            && all_lists == is_list(joined)
            && is_whole(joined)
            && values.iter().all(|value| is_whole(value));
    }
    let is_simple = |value: &&[u8]| !value.contains(&b',') && !value.contains(&b';');
    // Two values with a comma between them may happen to be a date.
    let is_day = |value: &&[u8]| ends_with_day(value);
    values.iter().all(is_simple) && !values.iter().any(is_day)
}

/// What can be read can be printed, and reads the same again.
fn check_dates(value: &[u8], now: Option<UnixTime>) {
    let times = [parse_rfc3339(value), parse_http_date(value, now)];
    for time in times.into_iter().flatten() {
        // An offset may lead out of the years that four digits can say.
        if let Some(text) = Rfc3339::new(time) {
            assert_eq!(parse_rfc3339(text.to_string().as_bytes()), Some(time));
        }
        if let Some(text) = HttpDate::new(time) {
            let second = UnixTime::from_secs(time.as_millis().div_euclid(1_000));
            let text = text.to_string();
            assert_eq!(parse_http_date(text.as_bytes(), None), Some(second));
        }
    }
}

/// Whether `value` ends with what may be the name of a day.
fn ends_with_day(value: &[u8]) -> bool {
    const ENDS: [&[u8]; 8] = [
        b"day", b"sun", b"mon", b"tue", b"wed", b"thu", b"fri", b"sat",
    ];
    let text = value.trim_ascii_end().to_ascii_lowercase();
    ENDS.iter().any(|end| text.ends_with(end))
}

fn parse(fields: &[Pair], received: Option<UnixTime>) -> ServerHints {
    let fields = fields.iter().map(|(name, value)| (name, value));
    ServerHints::parse(fields, received)
}

fn decode(data: &[u8]) -> (Option<UnixTime>, Vec<Pair>) {
    let mut lines = data.split(|&byte| byte == b'\n').peekable();
    let received = lines
        .peek()
        .and_then(|line| line.strip_prefix(b"@ "))
        .and_then(|digits| core::str::from_utf8(digits).ok()?.parse().ok())
        .map(UnixTime::from_millis);
    if received.is_some() {
        lines.next();
    }
    let fields = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut parts = line.splitn(2, |&byte| byte == b':');
            let name = parts.next().unwrap_or_default();
            let value = parts.next().unwrap_or_default();
            (name.to_vec(), value.to_vec())
        })
        .collect();
    (received, fields)
}

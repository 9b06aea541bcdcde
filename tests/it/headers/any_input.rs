//! What must hold of any header fields.

use proptest::prelude::*;
use sendwhen::{
    Field, HeaderParser, Rfc3339, ServerHints, UnixTime, parse_http_date, parse_rfc3339,
};

use super::{Pairs, imf, parse};

#[test]
fn parsers_accept_any_bytes() {
    fn holds(fields: Vec<(Vec<u8>, Vec<u8>)>, name: u8, now: i64) -> bool {
        let known = NAMES[usize::from(name) % NAMES.len()];
        let now = UnixTime::from_millis(now);
        let mut parser = HeaderParser::new().received(now);
        for (name, value) in &fields {
            parser.field(name, value);
            parser.field(known.as_bytes(), value);
            parse_rfc3339(value);
            parse_http_date(value, Some(now));
        }
        parser.finish() == parser.clone().finish()
    }
    quickcheck::quickcheck(holds as fn(_, _, _) -> _);
}

/// Of each dialect some.
const NAMES: [&str; 38] = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-priority-input-tokens-limit",
    "anthropic-fast-output-tokens-reset",
    "anthropic-ratelimit-unified-status",
    "anthropic-ratelimit-unified-5h-reset",
    "anthropic-ratelimit-unified-7d_oi-utilization",
    "anthropic-ratelimit-unified-representative-claim",
    "anthropic-ratelimit-unified-overage-disabled-reason",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-renewalperiod-tokens",
    "x-ratelimit-limit-tokens-month",
    "x-ratelimit-reset-req-10-second",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-resource",
    "x-rate-limit-reset",
    "x-tokenlimit-limit",
    "x-groq-region",
    "x-github-request-id",
    "openai-version",
    "apim-request-id",
    "ratelimit-reset",
    "ratelimit-limit",
    "ratelimit",
];

/// Those whose values are lists of the structured kind, of which a member that
/// breaks the grammar takes the others with it, or no lists.
const NO_LISTS: [&str; 4] = [
    "ratelimit",
    "ratelimit-limit",
    "x-ratelimit-limit",
    "x-ratelimit-resource",
];

/// A value that some field may take for its own.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?[0-9]{1,6}(\\.[0-9]{1,3})?",
        1 => "[0-9]{18,22}",
        2 => (0..4_000_000_000_i64).prop_map(|s| imf(UnixTime::from_secs(s))),
        2 => (0..4_000_000_000_000_i64).prop_map(|ms| {
            Rfc3339::new(UnixTime::from_millis(ms)).unwrap().to_string()
        }),
        1 => "(Sun|Mon)day, (0[1-9]|1[0-9])-(Jan|Nov)-[0-9]{2} 08:49:37 GMT",
        1 => "(Sun|Mon) (Jan|Nov) ( [1-9]|1[0-9]) 08:49:37 (19|20)[0-9]{2}",
        1 => "(true|false|allowed|rejected|available|five_hour|out_of_credits)",
        2 => "([0-9]{1,2}h)?([0-9]{1,2}m)?[0-9]{1,2}(\\.[0-9]{1,9})?(s|ms)",
        1 => "1[0-9]{9}([0-9]{3})?",
        1 => "\"(a|b)\";(r=[0-9];t=[0-9]{1,3}|q=[0-9]{1,3};w=60|\"c\";q=5)",
        1 => "[0-9]{1,3};w=[0-9]{1,3}",
        1 => "[ -~]{0,12}",
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let list = prop::collection::vec(value(), 1..3).prop_map(|values| values.join(", "));
    let name = prop::sample::select(NAMES.as_slice()).prop_map(String::from);
    prop::collection::vec((name, list), 0..12)
}

proptest! {
    #[test]
    fn any_order_gives_equal_hints(
        (fields, shuffled) in fields().prop_flat_map(|f| (Just(f.clone()), Just(f).prop_shuffle())),
        received in prop::option::of(0..4_000_000_000_i64),
    ) {
        let received = received.map(UnixTime::from_secs);
        let parse = |fields: &Pairs| {
            ServerHints::parse(fields.iter().map(|(n, v)| (n, v)), received)
        };
        prop_assert_eq!(parse(&fields), parse(&shuffled));
    }

    #[test]
    fn the_case_of_names_is_irrelevant(fields in fields(), capitals in any::<u64>()) {
        let recased: Pairs = fields
            .iter()
            .map(|(name, value)| {
                let recase = |(place, letter): (usize, char)| {
                    if capitals.rotate_right(place as u32) & 1 == 1 {
                        letter.to_ascii_uppercase()
                    } else {
                        letter
                    }
                };
                (name.chars().enumerate().map(recase).collect(), value.clone())
            })
            .collect();
        prop_assert_eq!(parse(&recased), parse(&fields));
    }

    #[test]
    fn unknown_fields_change_nothing(
        fields in fields(),
        unknown in prop::collection::vec(("[b-zB-Z][!-~]{0,80}", ".{0,300}"), 1..9),
    ) {
        let is_known = |name: &str| {
            HeaderParser::new().field(name.as_bytes(), b"") != Field::Ignored
        };
        let mut more = fields.clone();
        for (place, field) in unknown.into_iter().enumerate() {
            if !is_known(&field.0) {
                more.insert((place * 2).min(more.len()), field);
            }
        }
        prop_assert_eq!(parse(&more), parse(&fields));
    }

    #[test]
    fn a_structured_list_may_be_split(
        members in prop::collection::vec("\"[a-d]\";r=[0-9]{1,2}(;t=[0-9]{1,3})?", 1..9),
        policies in prop::collection::vec("(\"[a-d]\";q|[0-9]{1,3};w)=[0-9]{1,3}(;w=60)?", 1..9),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let joined: Pairs = vec![
            ("ratelimit".into(), members.join(", ")),
            ("ratelimit-policy".into(), policies.join(",")),
        ];
        let mut split: Pairs = Vec::new();
        for member in &members {
            split.push(("ratelimit".into(), member.clone()));
        }
        for policy in &policies {
            split.push(("ratelimit-policy".into(), policy.clone()));
        }
        let place = shuffled.index(split.len());
        split.rotate_left(place);
        prop_assert_eq!(parse(&joined), parse(&split));
    }

    #[test]
    fn a_list_says_what_its_members_say_one_by_one(
        values in prop::collection::vec(value(), 1..6),
        date in prop::option::of(0..4_000_000_000_i64),
        name in prop::sample::select(NAMES.as_slice())
            .prop_filter("a list", |name| !NO_LISTS.contains(name)),
    ) {
        let date: Pairs = date
            .map(|date| ("date".into(), imf(UnixTime::from_secs(date))))
            .into_iter()
            .collect();
        let mut split = date.clone();
        split.extend(values.iter().map(|value| (name.into(), value.clone())));
        let mut joined = date;
        joined.push((name.into(), values.join(", ")));
        prop_assert_eq!(parse(&joined), parse(&split));
    }
}

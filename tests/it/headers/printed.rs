//! Print and parse: durations and structured fields. Dates have their own file.

use proptest::prelude::*;
use sendwhen::{GoDuration, SfDictionary, SfItem, SfList, parse_go_duration};

#[test]
fn durations_that_are_printed_read_the_same() {
    fn holds(nanos: i64) -> bool {
        let printed = GoDuration(nanos).to_string();
        parse_go_duration(printed.as_bytes()) == Some(nanos)
            && parse_go_duration(printed.to_uppercase().as_bytes()).is_none()
    }
    quickcheck::quickcheck(holds as fn(_) -> _);
}

#[test]
fn any_bytes_are_read_as_the_oracles_read_them() {
    fn holds(bytes: Vec<u8>) -> bool {
        crate::seeds::check_all(&bytes);
        true
    }
    quickcheck::quickcheck(holds as fn(_) -> _);
}

/// An item as its text, which others can own.
fn item() -> impl Strategy<Value = String> {
    const MOST: i64 = 999_999_999_999_999;
    prop_oneof![
        (-MOST..=MOST).prop_map(|number| SfItem::Integer(number).to_string()),
        (-MOST..=MOST).prop_map(|thousandths| SfItem::Decimal(thousandths).to_string()),
        (-MOST..=MOST).prop_map(|seconds| SfItem::Date(seconds).to_string()),
        any::<bool>().prop_map(|bit| SfItem::Boolean(bit).to_string()),
        "[a-zA-Z*][a-zA-Z0-9!#$%&'*+.^_`|~:/-]{0,8}",
        "\"([ !#-Z^-~]|\\\\\\\\|\\\\\"){0,8}\"",
        ":([A-Za-z0-9+/]{4}){0,3}:",
        "%\"[a-zA-Z ]{0,4}(%c3%a4)?\"",
    ]
}

/// A member with its parameters, and how many those are.
fn member() -> impl Strategy<Value = (String, usize)> {
    let param = ("[a-z*][a-z0-9_.*-]{0,3}", prop::option::of(item()));
    (item(), prop::collection::vec(param, 0..4)).prop_map(|(item, params)| {
        let count = params.len();
        let params = params.into_iter().map(|(key, value)| match value {
            Some(value) => format!(";{key}={value}"),
            None => format!("; {key}"),
        });
        (item + &params.collect::<String>(), count)
    })
}

proptest! {
    #[test]
    fn structured_fields_that_are_printed_read_the_same(
        members in prop::collection::vec(member(), 0..6),
    ) {
        let texts: Vec<_> = members.iter().map(|(text, _)| text.as_str()).collect();
        let text = texts.join(" ,\t");
        let list = SfList::parse(text.as_bytes()).unwrap();
        let mut printed = Vec::new();
        for ((item, params), (text, count)) in list.zip(&members) {
            let item = item.to_string();
            prop_assert!(text.starts_with(&item), "{} {}", text, item);
            let params: Vec<_> = params.collect();
            prop_assert_eq!(params.len(), *count);
            let params = params.into_iter().map(|(key, item)| {
                format!(";{}={item}", std::str::from_utf8(key).unwrap())
            });
            printed.push(item + &params.collect::<String>());
        }
        prop_assert_eq!(printed.len(), members.len());
        // What was printed with all that may be left out prints the same again.
        let printed = printed.join(", ");
        let again: Vec<_> = SfList::parse(printed.as_bytes())
            .unwrap()
            .map(|(item, params)| {
                let params = params
                    .map(|(key, item)| format!(";{}={item}", std::str::from_utf8(key).unwrap()));
                item.to_string() + &params.collect::<String>()
            })
            .collect();
        prop_assert_eq!(again.join(", "), printed);
        crate::seeds::check_all(text.as_bytes());
    }

    /// Nearly well-formed texts, beside the oracle.
    #[test]
    fn structured_fields_with_a_letter_changed_are_read_alike(
        members in prop::collection::vec(member(), 1..4),
        place in any::<prop::sample::Index>(),
        letter in prop_oneof![
            any::<u8>(),
            prop::sample::select(b"\"\\:;,=?@%.-()* \t01a".as_slice()),
        ],
    ) {
        let texts: Vec<_> = members.iter().map(|(text, _)| text.as_str()).collect();
        let mut bytes = texts.join(", ").into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = letter;
        crate::seeds::check_all(&bytes);
    }

    #[test]
    fn durations_with_a_letter_changed_are_read_alike(
        nanos in any::<i64>(),
        place in any::<prop::sample::Index>(),
        letter in prop::sample::select(b"0123456789.nmush-+".as_slice()),
    ) {
        let mut bytes = GoDuration(nanos).to_string().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = letter;
        crate::seeds::check_all(&bytes);
    }

    #[test]
    fn a_dictionary_has_each_of_its_keys(
        members in prop::collection::vec(("[a-z][a-z0-9]{0,3}", member()), 0..5),
    ) {
        let texts: Vec<_> = members.iter().map(|(key, (text, _))| format!("{key}={text}")).collect();
        let text = texts.join(", ");
        let keys: Vec<_> = SfDictionary::parse(text.as_bytes()).unwrap().map(|(key, ..)| key.to_vec()).collect();
        let expected: Vec<_> = members.iter().map(|(key, _)| key.clone().into_bytes()).collect();
        prop_assert_eq!(keys, expected);
    }
}

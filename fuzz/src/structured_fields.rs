//! Any bytes as a list and as a dictionary of structured fields, beside `sfv`.
//!
//! Where this crate reads them `sfv` does, and what both read is the same. What
//! `sfv` reads and this crate does not has an inner list in it.

use std::collections::BTreeMap;

use sendwhen::{SfDictionary, SfItem, SfList, SfParams};
use sfv::{BareItem, Dictionary, List, ListEntry, Parameters, Parser};

/// A bare item with all that is escaped in it undone.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Plain {
    Integer(i64),
    Decimal(i64),
    String(String),
    Token(String),
    Bytes(Vec<u8>),
    Boolean(bool),
    Date(i64),
    Display(String),
}

type Params = BTreeMap<String, Plain>;

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let ours = SfList::parse(data).map(|list| {
        list.map(|(item, params)| (ours(item), our_params(params)))
            .collect::<Vec<_>>()
    });
    let theirs = Parser::new(data).parse::<List>().ok();
    let has_inner = |list: &List| list.iter().any(|e| matches!(e, ListEntry::InnerList(_)));
    match theirs {
        Some(list) if has_inner(&list) => assert_eq!(ours, None),
        theirs => assert_eq!(
            ours,
            theirs.map(|list| list.iter().map(their_entry).collect())
        ),
    }

    let ours = SfDictionary::parse(data).map(|fields| {
        fields
            .map(|(key, item, params)| (text(key), (self::ours(item), our_params(params))))
            .collect::<BTreeMap<_, _>>()
    });
    let theirs = Parser::new(data).parse::<Dictionary>().ok();
    let has_inner = |fields: &Dictionary| {
        fields
            .values()
            .any(|entry| matches!(entry, ListEntry::InnerList(_)))
    };
    match theirs {
        Some(fields) if has_inner(&fields) => assert_eq!(ours, None),
        // A member that comes again may have been an inner list before.
        Some(_) if ours.is_none() => assert!(data.contains(&b'(')),
        theirs => assert_eq!(
            ours,
            theirs.map(|fields| {
                let fields = fields.iter();
                fields
                    .map(|(key, entry)| (key.to_string(), their_entry(entry)))
                    .collect()
            })
        ),
    }
    check_print(data);
}

/// What is printed reads the same.
fn check_print(data: &[u8]) {
    for (item, _) in SfList::parse(data).into_iter().flatten() {
        let printed = item.to_string();
        let mut again = SfList::parse(printed.as_bytes()).expect("what is printed can be read");
        assert_eq!(again.next().map(|(item, _)| item), Some(item));
        assert!(again.next().is_none());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a key or token is ASCII")
}

fn ours(item: SfItem<'_>) -> Plain {
    match item {
        SfItem::Integer(number) => Plain::Integer(number),
        SfItem::Decimal(thousandths) => Plain::Decimal(thousandths),
        SfItem::String(inside) => Plain::String(unescaped(inside)),
        SfItem::Token(token) => Plain::Token(text(token)),
        SfItem::Bytes(base64) => Plain::Bytes(decoded(base64)),
        SfItem::Boolean(bit) => Plain::Boolean(bit),
        SfItem::Date(seconds) => Plain::Date(seconds),
        SfItem::Display(inside) => Plain::Display(unquoted(inside)),
        _ => unreachable!("no other kind is made"),
    }
}

fn our_params(params: SfParams<'_>) -> Params {
    params.map(|(key, item)| (text(key), ours(item))).collect()
}

fn their_entry(entry: &ListEntry) -> (Plain, Params) {
    match entry {
        ListEntry::Item(item) => (theirs(&item.bare_item), their_params(&item.params)),
        ListEntry::InnerList(_) => unreachable!("looked for before"),
    }
}

fn their_params(params: &Parameters) -> Params {
    params
        .iter()
        .map(|(key, item)| (key.to_string(), theirs(item)))
        .collect()
}

fn theirs(item: &BareItem) -> Plain {
    match item {
        BareItem::Integer(number) => Plain::Integer((*number).into()),
        BareItem::Decimal(decimal) => Plain::Decimal(decimal.as_integer_scaled_1000().into()),
        BareItem::String(string) => Plain::String(string.as_str().to_owned()),
        BareItem::Token(token) => Plain::Token(token.as_str().to_owned()),
        BareItem::ByteSequence(bytes) => Plain::Bytes(bytes.clone()),
        BareItem::Boolean(bit) => Plain::Boolean(*bit),
        BareItem::Date(date) => Plain::Date(date.unix_seconds().into()),
        BareItem::DisplayString(string) => Plain::Display(string.clone()),
    }
}

fn unescaped(inside: &[u8]) -> String {
    let mut bytes = inside.iter();
    let mut plain = Vec::new();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => *bytes.next().expect("a backslash escapes something"),
            _ => byte,
        });
    }
    text(&plain)
}

fn unquoted(inside: &[u8]) -> String {
    let mut plain = Vec::new();
    let mut rest = inside;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at(2);
            let digits = text(digits);
            plain.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
            rest = after;
        } else {
            plain.push(*byte);
        }
    }
    String::from_utf8(plain).expect("what is taken is UTF-8")
}

fn decoded(base64: &[u8]) -> Vec<u8> {
    let value = |letter: u8| -> u32 {
        match letter {
            b'A'..=b'Z' => u32::from(letter - b'A'),
            b'a'..=b'z' => u32::from(letter - b'a') + 26,
            b'0'..=b'9' => u32::from(letter - b'0') + 52,
            b'+' => 62,
            _ => 63,
        }
    };
    let letters: Vec<u8> = base64
        .iter()
        .copied()
        .filter(|&letter| letter != b'=')
        .collect();
    let mut bytes = Vec::new();
    for group in letters.chunks(4) {
        let bits = group
            .iter()
            .fold(0, |bits, &letter| bits << 6 | value(letter));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

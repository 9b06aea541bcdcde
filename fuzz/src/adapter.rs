//! An adapter from a library's header map, beside the fields as they are.
//!
//! To fuzz an adapter of your own, put it in the place of [`adapted`].

use http::{HeaderMap, HeaderName, HeaderValue};
use sendwhen::ServerHints;

/// Panics where the adapter and the parser differ.
pub fn check(data: &[u8]) {
    let fields: Vec<(HeaderName, HeaderValue)> = data
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = HeaderValue::from_bytes(&line[colon + 1..]).ok()?;
            Some((name, value))
        })
        .collect();
    let direct = ServerHints::parse(fields.iter().map(|(name, value)| (name, value)), None);
    assert_eq!(adapted(fields), direct);
}

/// The fields by way of the map.
fn adapted(fields: Vec<(HeaderName, HeaderValue)>) -> ServerHints {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, value);
    }
    ServerHints::from_header_map(&map, None)
}

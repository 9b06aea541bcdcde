//! What the example `headers` takes for a response.

#[expect(dead_code, reason = "the example uses all of it")]
#[path = "../../../examples/headers/input.rs"]
mod input;

/// What was read, shortly: status and fields, or what is wrong.
fn read(text: &str) -> Vec<String> {
    input::responses(text)
        .into_iter()
        .map(|read| match read {
            Ok(response) => {
                let status = response
                    .status
                    .map_or_else(|| "-".into(), |status| status.to_string());
                let fields = response.fields.iter().map(|(n, v)| format!(" {n}={v}"));
                let body = response.body.map(|body| format!(" / {}", body.trim_end()));
                status + &fields.collect::<String>() + &body.unwrap_or_default()
            }
            Err(error) => error.to_string(),
        })
        .collect()
}

#[test]
fn headers_may_be_written_in_many_ways() {
    for (text, expected) in [
        (
            r#"{"status":429,"headers":[["a","1"],["b","2"],["a","3"]]}"#,
            "429 a=1 b=2 a=3",
        ),
        (
            r#"{"status_code":"429","headers":{"a":"1","b":["2","3"]}}"#,
            "429 a=1 b=2 b=3",
        ),
        (
            r#"{"status":"429 Too Many Requests","headers":{"a":1,"b":true,"c":null}}"#,
            "429 a=1 b=true",
        ),
        (
            r#"{"response":{"status":{"code":429},"headers":{"a":["1"]}}}"#,
            "429 a=1",
        ),
        (
            r#"{"response_headers":[{"name":"a","value":"1"},{"b":"2"}]}"#,
            "- a=1 b=2",
        ),
        (r#"{"status":null,"headers":["a: 1","b:2"]}"#, "- a=1 b=2"),
        (
            r#"{"headers":"HTTP/1.1 429 X\r\na: 1\r\nb: 2\r\n"}"#,
            "- a=1 b=2",
        ),
        (
            r#"{"status":429.0,"rawHeaders":["a","1","b",""]}"#,
            "429 a=1 b=",
        ),
        (r#"{"headers":{":status":"429","a":["1"]}}"#, "429 a=1"),
        (r#"{"res":{"statusCode":429,"headers":{"a":1}}}"#, "429 a=1"),
        (
            r#"{"retry-after":["5"],"x":["1","2"]}"#,
            "- retry-after=5 x=1 x=2",
        ),
        (
            r#"{"log":{"entries":[{"request":{},"response":{"status":429,"headers":[{"name":"a","value":"1"}],"content":{"text":"x"}}}]}}"#,
            "429 a=1 / x",
        ),
        (
            r#"{"http_interactions":[{"response":{"status":{"code":429},"headers":{"a":["1"]}}}]}"#,
            "429 a=1",
        ),
        (
            r#"{"status":200,"headers":[],"body":{"error":null}}"#,
            r#"200 / {"error":null}"#,
        ),
        (
            r#"{"status":200,"headers":{},"body":{"string":"x"}}"#,
            "200 / x",
        ),
    ] {
        assert_eq!(read(text), [expected], "{text}");
    }
    let pretty = "{\n  \"status\": 429,\n  \"headers\": {\"a\": \"1\"}\n}\n{\"status\": 200,\n\"headers\": {}}";
    assert_eq!(read(pretty), ["429 a=1", "200"]);
    let list = r#"[{"status":429,"headers":{}},{"status":200,"headers":{}}]"#;
    assert_eq!(read(list), ["429", "200"]);
    assert_eq!(
        read("\u{feff}{\"headers\":{}}\n\n{\"headers\":{\"a\":\"1\"}}\n"),
        ["-", "- a=1"]
    );
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let text = "{\"headers\":{}}\n\nnonsense\n{\"status\":200}\n{\"status\":\"x\",\"headers\":{}}\n[1]\n\
                {\"headers\":[[\"a\"]]}\n{\"headers\":{\"a\":{}}}\n{\"headers\":5}\n{\"headers\":[\"a\"]}";
    let read = read(text);
    assert_eq!(read[0], "-");
    for (read, begins) in read[1..].iter().zip([
        "line 3: expected",
        "line 4: no headers under any of headers, ",
        "line 5: a status that is none: \"x\"",
        "line 6: no object but a list",
        "line 7: header 1: no pair of a name and a value: [\"a\"]",
        "line 8: a has an object for its value",
        "line 9: headers that are none: a number",
        "line 10: header 1: no colon in \"a\"",
    ]) {
        assert!(read.starts_with(begins), "{read}");
    }
    assert_eq!(read.len(), 9);
}

#[test]
fn heads_are_read_as_curl_prints_them() {
    let curl = "HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                HTTP/2 429 \r\na: 1\r\nb:\r\n 2\r\n\r\n{\"error\":\r\nnull}\r\nHTTP/1.1 200 OK\nc: http://x\n\n";
    assert_eq!(
        read(curl),
        ["429 a=1 b= 2 / {\"error\":\nnull}", "200 c=http://x"]
    );
    let verbose =
        "* Connected\n> GET / HTTP/1.1\n> host: x\n>\n< HTTP/1.1 429 X\n< a: 1\n<\nbody\n";
    assert_eq!(read(verbose), ["429 a=1 / body"]);
    let wget = "--2026-- https://x\nResolving x... 1.2.3.4\n  HTTP/1.1 429 X\n  a: 1\n  b: 2\n";
    assert_eq!(read(wget), ["429 a=1 b=2"]);
    let moved = "$ curl -i\nhttp/2 301\nlocation: /x\n\nHTTP/2 429\n:x: 1\na: 1\n\n";
    assert_eq!(read(moved), ["301 location=/x", "429 a=1"]);
    assert_eq!(read(":status: 429\na: 1\n"), ["429 a=1"]);
    assert_eq!(read("a: 1\nb: 2\n"), ["- a=1 b=2"]);
    assert_eq!(
        read("a: 1\nnothing\n"),
        ["line 2: no colon in \"nothing\"", "- a=1"]
    );
    assert!(read("").is_empty());
}

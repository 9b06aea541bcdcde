//! What calls do, one behaviour a story. How they are told: `story.rs`.

use sendwhen::{
    Decision, Dimension, ErrorDetails, Event, Family, Instant, Limiter, Request, ServerHints,
};

use crate::story::tell;

#[test]
fn a_429_with_retry_after_505() {
    tell(
        "
        0s      a submitted                  -> send 1
        0.2s    a 429 retry-after=505        -> wait 505.2s..506.2s retry-after
        60s     a woken                      -> wait 505.2s..506.2s retry-after
        # The pool is stopped too, nothing being known of its meters.
        61s     b submitted                  -> wait 505.2s a pause
        506.2s  a woken                      -> send 2
        507s    a 200                        -> deliver
        509s    a finished in=10 out=20      -> deliver
        ",
    );
}

#[test]
fn a_429_on_input_while_requests_are_full() {
    tell(
        "
        request a in=7000  out=10
        request b in=7000  out=10
        request c in=1000  out=10
        0s    a submitted                                          -> send 1
        0.2s  a 429 retry-after=16 requests=50:50 input=30000:0    -> wait 16.2s..17.2s retry-after
        # Who wants as much waits as long; who wants little waits for little.
        1s    b submitted                                          -> wait 16.2s input tokens
        1s    c submitted                                          -> wait 4.2s input tokens
        4.2s  c woken                                              -> send 1
        4.5s  c 200 requests=50:49 input=30000:1000                -> deliver
        # What c took, a has to wait for.
        17s   a woken                                              -> wait 18.2s input tokens
        18.2s a woken                                              -> send 2
        ",
    );
}

#[test]
fn a_429_whose_words_alone_name_the_limit() {
    tell(
        "
        limit requests 6000/min burst 100
        limit input 30000/min burst 30000
        window 10
        request a in=7000  out=10
        request b in=7000  out=10
        request c in=1     out=10
        0s    a submitted                                                             -> send 1
        0s    a 429 retry-after=16 says=rate_limit_of_30,000_input_tokens_per_minute  -> wait 16s..17s retry-after
        # Who wants little waits for little.
        1s    b submitted                                                             -> wait 16s input tokens
        1s    c submitted                                                             -> wait 2.002s input tokens
        3s    c woken                                                                 -> send 1
        # Of a limit that is not known no level can be blamed: the pool stops.
        3s    c 429 retry-after=16 says=rate_limit_of_8,000_output_tokens_per_minute  -> wait 19s..20s retry-after
        3s    d submitted                                                             -> wait 19s a pause
        ",
    );
}

#[test]
fn a_529_three_times_then_200() {
    tell(
        "
        0s   a submitted       -> send 1
        1s   a 529             -> wait 1s..1.5s backoff
        2s   a woken           -> send 2
        3s   a 529             -> wait 3s..4s backoff
        # It delays only its own call.
        3s   b submitted       -> send 1
        4s   a woken           -> send 3
        5s   a 529             -> wait 5s..7s backoff
        7s   a woken           -> send 4
        8s   a 200             -> deliver
        9s   a finished        -> deliver
        ",
    );
}

#[test]
fn ten_failures_are_enough() {
    let mut script = String::from("0s a submitted -> send 1\n");
    for n in 1..10 {
        let at = n * 10;
        script += &format!("{at}s a lost -> wait {at}s..{}s backoff\n", at + 8);
        script += &format!("{}s a woken -> send {}\n", at + 8, n + 1);
    }
    script += "100s a lost -> give-up it failed 10 times, the last time as a passing failure\n";
    tell(&script);
}

#[test]
fn a_deadline_that_cannot_be_met() {
    tell(
        "
        limit input 60000/min burst 1000
        window 10
        request a in=1000 out=1
        request b in=1000 out=1
        request c in=1000 out=1 by=0.5s
        0s    a submitted            -> send 1
        0s    a 200 input=60000:0    -> deliver
        0s    a finished in=1000     -> deliver
        0s    c submitted            -> give-up not before 1000000000 ns because of the limit of input tokens
        5s    c woken                -> give-up it cannot start by its deadline
        ",
    );
}

#[test]
fn a_deadline_that_only_the_settling_of_others_makes_possible() {
    tell(
        "
        limit output 600/min burst 100
        window 10
        request a in=1 out=400
        request b in=1 out=400 by=6s
        request c in=1 out=400 by=6s
        0s    a submitted            -> send 1
        # Half of 200 is forecast. It may pass at once if a costs nothing, so it waits.
        0s    b submitted            -> wait 6s output tokens
        1s    a 200                  -> deliver
        5s    a finished in=1 out=1  -> deliver
        5s    b woken                -> send 1
        # Nor can c before b is through; b is not in time.
        5s    c submitted            -> wait 6s output tokens
        6s    c woken                -> give-up it cannot start by its deadline
        ",
    );
}

#[test]
fn cancelled_while_waiting() {
    tell(
        "
        limit requests 60/min burst 1
        0s    a submitted   -> send 1
        0s    b submitted   -> wait 1s requests
        0.5s  b cancelled   -> give-up it was cancelled
        # It holds nothing.
        1s    c submitted   -> send 1
        2s    b woken       -> give-up it was cancelled
        ",
    );
}

#[test]
fn cancelled_before_the_head_costs_the_forecast() {
    tell(
        "
        limit output 600/min burst 100
        window 10
        request a in=1 out=400
        request b in=1 out=400
        0s    a submitted   -> send 1
        0s    a cancelled   -> give-up it was cancelled
        0s    b submitted   -> wait 10s output tokens
        ",
    );
}

#[test]
fn cancelled_in_mid_stream_costs_what_was_produced() {
    tell(
        "
        limit output 600/min burst 100
        window 10
        request a in=1 out=400 profile=1
        request b in=1 out=280
        request c in=1 out=40
        0s    a submitted               -> send 1
        0s    a 200                     -> deliver
        0s    a progress in=1 out=20    -> deliver
        0s    a progress in=1 out=30    -> deliver
        # Reports are cumulative: the largest wins.
        0s    a progress in=1 out=10    -> deliver
        0s    a cancelled               -> give-up it was cancelled
        0s    b submitted               -> send 1
        0s    c submitted               -> wait 1s output tokens
        ",
    );
}

#[test]
fn an_error_inside_a_200_stream_before_output_was_handed_on() {
    tell(
        "
        0s    a submitted                     -> send 1
        1s    a 200                           -> deliver
        1s    a progress in=5 out=1           -> deliver
        2s    a in-stream overloaded_error    -> wait 2s..2.5s backoff
        3s    a woken                         -> send 2
        ",
    );
}

#[test]
fn an_error_inside_a_200_stream_after_output_was_handed_on() {
    tell(
        "
        0s    a submitted                       -> send 1
        1s    a 200                             -> deliver
        1s    a progress in=5 out=1 handed-on   -> deliver
        1s    a progress in=5 out=2             -> deliver
        2s    a in-stream overloaded_error      -> give-up it ended as an overload after part of its output was handed on
        ",
    );
}

#[test]
fn the_clock_goes_back_an_hour() {
    tell(
        "
        limit requests 60/min burst 1
        window 10
        2h        a submitted  -> send 1
        # It stands still until time has caught up.
        1h        b submitted  -> wait 7201s requests
        1.5h      b woken      -> wait 7201s requests
        7201s     b woken      -> send 1
        ",
    );
}

#[test]
fn the_clock_was_set_back_an_hour_and_the_limiter_is_told() {
    tell(
        "
        limit requests 60/min burst 1
        window 10
        2h        a submitted                    -> send 1
        2h        b submitted                    -> wait 7201s requests
        2h        c submitted                    -> wait 7201s requests
        1h        rebase
        # Levels and waits stay as they are, on the new clock.
        1h        b woken                        -> wait 3601s requests
        3601s     b woken                        -> send 1
        3601.1s   a 529                          -> wait 3601.1s..3601.6s backoff
        ",
    );
}

#[test]
fn a_spend_cap_fails_all_at_once_and_closes_the_pool() {
    tell(
        "
        0s    a submitted                                              -> send 1
        0s    b submitted                                              -> send 1
        1s    a 429 retry-after=5 code=enforced_spend_limit_reached    -> give-up used-up spend or credit
        # What is in flight may still come.
        2s    b 200                                                    -> deliver
        2s    c submitted                                              -> give-up until it is reopened
        ",
    );
}

#[test]
fn a_refund_after_refill_admits_nothing_twice() {
    tell(
        "
        limit output 600/min burst 100
        window 10
        request a in=1 out=400 profile=1
        request b in=1 out=400
        request c in=1 out=40
        0s    a submitted             -> send 1
        0s    a 200                   -> deliver
        # After ten seconds the bucket is full without the refund.
        10s   b submitted             -> send 1
        10s   a finished in=1 out=0   -> deliver
        10s   c submitted             -> wait 11s output tokens
        ",
    );
}

#[test]
fn late_events_after_the_end() {
    tell(
        "
        0s    a submitted             -> send 1
        0s    a submitted             -> wait 600s..675s the response
        1s    a 200                   -> deliver
        1s    a woken                 -> deliver
        2s    a finished in=1 out=1   -> deliver
        3s    a 429 retry-after=9     -> deliver
        3s    a lost                  -> deliver
        3s    a cancelled             -> deliver
        3s    a finished in=9 out=9   -> deliver
        # The late 429 stopped nobody.
        3s    b submitted             -> send 1
        4s    b 400                   -> give-up an error of the request itself
        5s    b 200                   -> give-up an error of the request itself
        5s    b submitted             -> give-up an error of the request itself
        ",
    );
}

#[test]
fn a_permit_that_is_never_settled_expires() {
    tell(
        "
        in-flight 1
        0s      a submitted   -> send 1
        0s      b submitted   -> wait 675s the in-flight cap
        674.9s  b woken       -> wait 675s the in-flight cap
        675s    b woken       -> send 1
        # The late answer is still good, and does not free the place twice.
        680s    a 200         -> deliver
        681s    a finished    -> deliver
        681s    c submitted   -> wait 1350s the in-flight cap
        ",
    );
}

#[test]
fn few_are_sent_before_the_server_is_heard() {
    tell(
        "
        0s      a submitted   -> send 1
        0s      b submitted   -> send 1
        0s      c submitted   -> wait 0.3375s the server's first answers
        0.1s    a 200         -> deliver
        0.1s    c woken       -> send 1
        0.1s    d submitted   -> send 1
        0.1s    e submitted   -> wait 0.3375s the server's first answers
        # A round trip's silence counts as admitted.
        0.3375s e woken       -> send 1
        ",
    );
}

#[test]
fn known_limits_are_used_at_their_pace_before_the_server_is_heard() {
    tell(
        "
        limit requests 600/min burst 600
        0s      a submitted   -> send 1
        0s      b submitted   -> send 1
        # The server may hold less than it says, and is not heard for long.
        1s      c submitted   -> send 1
        1s      d submitted   -> send 1
        1s      e submitted   -> send 1
        1s      f submitted   -> send 1
        # So soon a refusal may be on its way.
        1s      g submitted   -> wait 1.3125s the server's first answers
        1.4s    g woken       -> send 1
        1.4s    h submitted   -> send 1
        1.4s    i submitted   -> send 1
        1.4s    j submitted   -> send 1
        1.4s    k submitted   -> wait 1.5s the server's first answers
        1.5s    k woken       -> send 1
        1.5s    l submitted   -> wait 1.6s the server's first answers
        ",
    );
}

/// The number of a refused request was once given to the next, whose head then
/// passed for one that had been read.
#[test]
fn the_head_after_a_refusal_is_read() {
    tell(
        "
        window 10
        0s    a submitted                            -> send 1
        0.1s  a 429 retry-after=1 requests=60:50     -> wait 1.1s..1.6s retry-after
        2.5s  a woken                                -> send 2
        2.9s  a 200 requests=60:0                    -> deliver
        # Nothing is left. One more than is asked for is held back, and a quarter
        # of the bucket, because so little was a surprise.
        3s    b submitted                            -> wait 19.5s requests
        ",
    );
}

/// State is stamped when the server admits a request, and its head comes after
/// the first token: most resets lie in the past. That means full, and nothing
/// else. The fields are of a real response.
#[test]
fn a_reset_in_the_past_delays_nobody() {
    let hints = ServerHints::parse(
        [
            ("date", "Sat, 15 Mar 2025 12:54:38 GMT"),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2025-03-15T12:54:26Z"),
            ("anthropic-ratelimit-input-tokens-limit", "200000"),
            ("anthropic-ratelimit-input-tokens-remaining", "200000"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2025-03-15T12:54:26Z",
            ),
        ],
        None,
    );
    let requests = hints.meters.get(Family::Standard, Dimension::Requests);
    let reset = requests.and_then(|meter| meter.reset);
    assert_eq!(reset.and_then(|reset| reset.after_date_ms), Some(-12_000));
    let mut limiter = Limiter::new(1);
    let request = Request::new().input_tokens(150_000);
    let (mut first, mut second) = (limiter.call(request), limiter.call(request));
    let send = first.handle(&mut limiter, Instant::ZERO, Event::Submitted);
    assert!(matches!(send, Decision::Send(_)));
    let now = Instant::from_secs(12);
    let head = Event::Responded {
        status: 200,
        hints: &hints,
        error: ErrorDetails::NONE,
    };
    assert_eq!(first.handle(&mut limiter, now, head), Decision::Deliver);
    let send = second.handle(&mut limiter, now, Event::Submitted);
    assert!(matches!(send, Decision::Send(_)), "{send:?}");
}

/// A refusal that no meter explains, with a short wait, is one for too many at
/// once; else the pool stops.
#[test]
fn a_429_while_much_is_left_is_of_how_many_are_in_flight() {
    let tell_of = |refusal: &str, then: &str| {
        tell(&format!(
            "
            window 10
            request a in=1000 out=100
            request b in=1000 out=100
            request c in=1 out=1
            0s    a submitted   -> send 1
            0s    b submitted   -> send 1
            0.2s  a 429 {refusal}
            0.3s  c submitted   -> wait {then}
            "
        ));
    };
    // As many as are in flight now: until b is lost, if nothing is heard of it.
    let in_flight = "675s the in-flight cap";
    let much = "requests=50:4 input=30000:4500 output=8000:5000";
    tell_of(
        &format!("retry-after=1 {much} -> wait 1.2s..2.2s retry-after"),
        in_flight,
    );
    for few in [
        "requests=50:3 input=30000:4500 output=8000:5000",
        "requests=50:4 input=30000:4499 output=8000:5000",
        "requests=50:3 input=30000:4499 output=8000:5000",
    ] {
        tell_of(
            &format!("retry-after=1 {few} -> wait 1.2s..2.2s retry-after"),
            "1.2s a pause",
        );
    }
    // Places are free at once, not in half a minute.
    tell_of(
        &format!("retry-after=30 {much} -> wait 30.2s..31.2s retry-after"),
        "30.2s a pause",
    );
    // Nothing is shown of what is left.
    tell_of(
        "retry-after=1 -> wait 1.2s..2.2s retry-after",
        "1.2s a pause",
    );
}

/// What is just enough is not short.
#[test]
fn a_429_blames_only_what_is_short() {
    let tell_of = |refusal: &str, then: &str| {
        tell(&format!(
            "
            window 10
            request a in=1000 out=100
            request b in=1000 out=100
            request c in=1 out=1
            0s    a submitted   -> send 1
            0s    b submitted   -> send 1
            {refusal}
            0.3s  {then}
            "
        ));
    };
    let a = "0.2s  a 429 retry-after=16";
    let late = "-> wait 16.2s..17.2s retry-after";
    // Of each there is as much as was asked, so it was something else.
    let enough = "requests=50:1 input=30000:1500 output=8000:600";
    tell_of(
        &format!("{a} {enough} {late}"),
        "c submitted -> wait 16.2s a pause",
    );
    // Each comes in at its own pace until a's wait is over.
    for (short, then) in [
        (
            "requests=50:1 input=30000:1499 output=8000:5000",
            "c submitted -> wait 14.202s the limit of input tokens",
        ),
        (
            "requests=50:1 input=30000:1500 output=8000:599",
            "c submitted -> wait 16.02s the limit of output tokens",
        ),
        (
            "requests=50:0 input=30000:1500 output=8000:5000",
            "c submitted -> wait 16.2s the limit of requests",
        ),
    ] {
        tell_of(&format!("{a} {short} {late}"), then);
    }
}

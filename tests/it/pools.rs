//! A request that must pass two pools at once: workspace and organisation.

use sendwhen::{
    Cause, Cost, Decision, Denied, Dimension, ErrorDetails, Event, Family, GiveUp, Instant,
    Limiter, Meter, Never, Rate, Request, ServerHints, Stance, Usage,
};

fn pool(per_minute: u64) -> Limiter {
    Limiter::new(1)
        .limit(
            Dimension::Requests,
            Rate::per_minute(per_minute).unwrap(),
            1,
        )
        .and_then(|limiter| limiter.initial_window(100))
        .unwrap()
}

fn head(hints: &ServerHints) -> Event<'_> {
    Event::Responded {
        status: 200,
        hints,
        error: ErrorDetails::NONE,
    }
}

#[test]
fn both_let_it_pass_or_neither_does() {
    let (mut workspace, mut organisation) = (pool(60), pool(30));
    let request = Request::new();
    let (mut a, mut b) = (workspace.call(request), workspace.call(request));
    let now = Instant::ZERO;
    let mut pools = [&mut workspace, &mut organisation];
    assert!(matches!(
        a.handle(&mut pools, now, Event::Submitted),
        Decision::Send(_)
    ));
    let Decision::Wait(wait) = b.handle(&mut pools, now, Event::Submitted) else {
        panic!("both are empty");
    };
    assert_eq!(
        wait.until,
        Instant::from_secs(2),
        "the later of 1 s and 2 s"
    );
    assert_eq!(wait.cause, Cause::Limit(Dimension::Requests));
    // After a second the workspace has one again, the organisation has not.
    let second = Instant::from_secs(1);
    assert!(matches!(
        b.handle(&mut pools, second, Event::Woken),
        Decision::Wait(_)
    ));
    assert_eq!(
        workspace.peek(second, &Cost::request()),
        Ok(()),
        "a refusal takes nothing"
    );
    let mut pools = [&mut workspace, &mut organisation];
    assert!(matches!(
        b.handle(&mut pools, wait.until, Event::Woken),
        Decision::Send(_)
    ));
}

#[test]
fn fields_go_to_the_pool_whose_limit_they_show() {
    let (mut workspace, mut organisation) = (pool(60), pool(30));
    let mut call = workspace.call(Request::new());
    let mut pools = [&mut workspace, &mut organisation];
    let now = Instant::ZERO;
    assert!(matches!(
        call.handle(&mut pools, now, Event::Submitted),
        Decision::Send(_)
    ));
    // Thirty a minute is the organisation's, and it is in debt.
    let hints = ServerHints::NONE.with_meter(
        Meter::new(Family::Standard, Dimension::Requests)
            .limit(30)
            .remaining(-4, 0),
    );
    assert_eq!(
        call.handle(&mut pools, now, head(&hints)),
        Decision::Deliver
    );
    let end = Event::Finished(Some(Usage::new(1, 1)));
    assert_eq!(call.handle(&mut pools, now, end), Decision::Deliver);

    let until = |limiter: &Limiter| match limiter.peek(now, &Cost::request()) {
        Err(Denied::Until { wait, .. }) => wait.until,
        other => panic!("{other:?}"),
    };
    assert_eq!(until(&workspace), Instant::from_secs(1));
    assert_eq!(until(&organisation), Instant::from_secs(10));
    assert_eq!((workspace.flying(now), organisation.flying(now)), (0, 0));
}

#[test]
fn each_pool_has_a_clock_of_its_own() {
    let (mut workspace, mut organisation) = (pool(60), pool(30));
    // The organisation's limiter was restarted on another clock.
    let hour = Instant::from_secs(3_600);
    assert!(organisation.try_acquire(hour, &Cost::ZERO).is_ok());
    organisation.rebase(Instant::ZERO);
    let (mut a, mut b) = (
        workspace.call(Request::new()),
        workspace.call(Request::new()),
    );
    let mut pools = [&mut workspace, &mut organisation];
    let now = Instant::from_secs(1);
    assert!(matches!(
        a.handle(&mut pools, now, Event::Submitted),
        Decision::Send(_)
    ));
    let Decision::Wait(wait) = b.handle(&mut pools, now, Event::Submitted) else {
        panic!("both are empty");
    };
    assert_eq!(wait.until, Instant::from_secs(3));
    assert!(matches!(
        b.handle(&mut pools, wait.until, Event::Woken),
        Decision::Send(_)
    ));
}

#[test]
fn what_is_explained_for_two_pools_is_of_the_one_that_binds() {
    let (mut workspace, mut organisation) = (pool(60), pool(30));
    let mut call = workspace.call(Request::new());
    let now = Instant::ZERO;
    let said = |call: &sendwhen::Call, pools: &[&mut Limiter; 2]| call.explain(pools, now).stance;
    let mut pools = [&mut workspace, &mut organisation];
    assert_eq!(said(&call, &pools), Stance::Send);
    assert!(matches!(
        call.handle(&mut pools, now, Event::Submitted),
        Decision::Send(_)
    ));
    let waiting = pools[0].call(Request::new());
    let Stance::Wait(wait) = said(&waiting, &pools) else {
        panic!("both are empty");
    };
    assert_eq!(wait.until, Instant::from_secs(2), "the organisation's");
    pools[0].close(now, None);
    assert_eq!(said(&waiting, &pools), Stance::Never(Never::Spend));
}

#[test]
fn what_one_of_two_pools_never_lets_pass_is_given_up() {
    for closed in 0..2 {
        let (mut workspace, mut organisation) = (pool(60), pool(30));
        let now = Instant::ZERO;
        let mut first = workspace.call(Request::new());
        let mut second = workspace.call(Request::new());
        let mut pools = [&mut workspace, &mut organisation];
        let _sent = first.handle(&mut pools, now, Event::Submitted);
        pools[closed].close(now, None);
        assert_eq!(
            second.handle(&mut pools, now, Event::Submitted),
            Decision::GiveUp(GiveUp::Never(Never::Spend)),
            "one is empty, and the other closed"
        );
    }
}

#[test]
fn a_call_of_two_pools_is_given_up_when_its_deadline_is_past() {
    let (mut workspace, mut organisation) = (pool(60), pool(30));
    let latest = Instant::from_secs(1);
    let mut call = workspace.call(Request::new().start_by(latest));
    let mut first = workspace.call(Request::new());
    let mut pools = [&mut workspace, &mut organisation];
    let now = Instant::from_millis(500);
    let _sent = first.handle(&mut pools, now, Event::Submitted);
    let Decision::GiveUp(GiveUp::DeadlineTooClose { earliest, .. }) =
        call.handle(&mut pools, Instant::from_secs(2), Event::Submitted)
    else {
        panic!("it is too late");
    };
    assert!(earliest > latest);
}

/// Output is counted as it comes, and a permit that nobody settles expires, in
/// both.
#[test]
fn what_streams_is_counted_in_both_pools() {
    let tokens = |most| {
        Limiter::new(1)
            .learn_limits(false)
            .limit(Dimension::OutputTokens, Rate::per_minute(1).unwrap(), most)
            .unwrap()
    };
    let (mut workspace, mut organisation) = (tokens(1_000), tokens(2_000));
    let now = Instant::from_secs(1);
    let mut call = workspace.call(Request::new().max_tokens(10));
    let mut pools = [&mut workspace, &mut organisation];
    assert!(matches!(
        call.handle(&mut pools, now, Event::Submitted),
        Decision::Send(_)
    ));
    let Decision::Wait(wait) = call.handle(&mut pools, now, Event::Woken) else {
        panic!("its answer is not there yet");
    };
    assert_eq!(wait.cause, Cause::Response);
    assert!(wait.until > now, "until its permits expire");
    assert_eq!(
        call.handle(&mut pools, now, head(&ServerHints::NONE)),
        Decision::Deliver
    );
    let there = |pool: &Limiter| pool.level(now, Dimension::OutputTokens).unwrap().there;
    let more = Event::progressed(Usage::new(0, 500), true);
    assert_eq!(call.handle(&mut pools, now, more), Decision::Deliver);
    assert_eq!(pools.map(|pool| there(pool)), [500, 1_500]);
}

/// A wait that comes after the deadline in either pool gives the call up.
#[test]
fn the_later_of_two_waits_counts_whichever_pool_it_is_of() {
    for (inner, outer) in [(60, 30), (30, 60)] {
        let (mut workspace, mut organisation) = (pool(inner), pool(outer));
        let now = Instant::ZERO;
        let mut first = workspace.call(Request::new());
        let mut second = workspace.call(Request::new());
        let mut pools = [&mut workspace, &mut organisation];
        let _sent = first.handle(&mut pools, now, Event::Submitted);
        let Decision::Wait(wait) = second.handle(&mut pools, now, Event::Submitted) else {
            panic!("both are empty");
        };
        assert_eq!(wait.until, Instant::from_secs(2));
    }
}

//! Values of each type, found by calling what makes them: all that verbs can be
//! called with.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
};

use sendwhen::{Blocked, Decision, Denied, Instant, Next, Refusal, Wait};

/// So many of the values that are found are kept of each type.
const KEPT: usize = 8;

/// Of so many answers of a verb that are no refusals is kept what can be.
const SEEN: usize = 24;

/// With more combinations than these a verb is called on fewer receivers; never
/// with fewer numbers.
const MOST: usize = 1_000;

#[derive(Default)]
pub(super) struct World {
    pools: HashMap<TypeId, Pool>,
    /// How often each verb was called.
    pub(super) calls: BTreeMap<&'static str, usize>,
}

/// The values of one type.
#[derive(Default)]
struct Pool {
    given: Vec<Box<dyn Any>>,
    /// By a hash of how they print, of which the least are kept: a sample that
    /// does not depend on the order in which they were found.
    found: BTreeMap<u64, Box<dyn Any>>,
}

impl World {
    pub(super) fn give<T: Value>(&mut self, all: impl IntoIterator<Item = T>) {
        let pool = self.pools.entry(TypeId::of::<T>()).or_default();
        let boxed = all.into_iter().map(|one| Box::new(one) as Box<dyn Any>);
        pool.given.extend(boxed);
    }

    pub(super) fn verb<A>(&mut self, name: &'static str, verb: impl Verb<A>) {
        let called = verb.play(self, name);
        *self.calls.entry(name).or_default() += called;
    }

    fn all<T: Value>(&self) -> Vec<T> {
        let pool = self.pools.get(&TypeId::of::<T>());
        let values = pool
            .into_iter()
            .flat_map(|pool| pool.given.iter().chain(pool.found.values()));
        values
            .filter_map(|one| one.downcast_ref::<T>().cloned())
            .collect()
    }

    pub(super) fn keep<T: Value>(&mut self, value: T) {
        let mut hasher = DefaultHasher::new();
        format!("{value:?}").hash(&mut hasher);
        let pool = self.pools.entry(TypeId::of::<T>()).or_default();
        pool.found.insert(hasher.finish(), Box::new(value));
        if pool.found.len() > KEPT {
            pool.found.pop_last();
        }
    }
}

/// What verbs take.
pub(super) trait Value: Clone + Debug + 'static {
    /// Whether it was made by a verb; numbers and names are not.
    const IS_MADE: bool = false;

    fn of(world: &World) -> Vec<Self> {
        world.all()
    }
}

impl<T: Value> Value for Option<T> {
    fn of(world: &World) -> Vec<Self> {
        std::iter::once(None)
            .chain(T::of(world).into_iter().map(Some))
            .collect()
    }
}

/// What verbs give.
pub(super) trait Answer: Debug {
    fn keep(self, _world: &mut World)
    where
        Self: Sized,
    {
    }

    /// Whether it says that nothing was done.
    fn refuses(&self) -> bool {
        false
    }

    /// Whether there is anything to be kept.
    fn gives(&self) -> bool {
        true
    }

    /// Panics where it is no answer to a question at `now`.
    fn holds(&self, _now: Option<Instant>) {}
}

/// Values that are kept for what takes them.
macro_rules! found {
    ($($value:ty),+ $(,)?) => {$(
        impl Value for $value {
            const IS_MADE: bool = true;
        }
        impl Answer for $value {
            fn keep(self, world: &mut World) {
                world.keep(self);
            }
        }
    )+};
}

/// Values of which all that are used are given, boundaries of numbers above all.
macro_rules! given {
    ($($value:ty),+ $(,)?) => {$(
        impl Value for $value {}
        impl Answer for $value {}
    )+};
}
pub(super) use {found, given};

/// A wait is always in the future.
fn later(until: Instant, now: Option<Instant>) {
    assert!(
        now.is_none_or(|now| until > now || now == Instant::MAX),
        "{until:?}"
    );
}

impl Answer for Refusal {
    fn holds(&self, now: Option<Instant>) {
        if let Self::Until(until) = self {
            later(*until, now);
        }
    }
}

impl Answer for Blocked {
    fn holds(&self, now: Option<Instant>) {
        self.refusal.holds(now);
    }
}

impl Answer for Wait {
    fn holds(&self, now: Option<Instant>) {
        later(self.until, now);
    }
}

impl Answer for Denied {
    fn holds(&self, now: Option<Instant>) {
        if let Self::Until { wait, earliest } = self {
            wait.holds(now);
            assert!(*earliest <= wait.until);
        }
    }
}

impl Answer for Decision {
    fn holds(&self, now: Option<Instant>) {
        if let Self::Wait(wait) = self {
            wait.holds(now);
        }
    }
}

impl Answer for Next {
    fn holds(&self, now: Option<Instant>) {
        if let Self::Wait(wait) = self {
            wait.holds(now);
        }
    }
}

impl Answer for () {}
impl Answer for &'static str {}
impl Answer for String {}

impl<T: Answer> Answer for Option<T> {
    fn gives(&self) -> bool {
        self.is_some()
    }

    fn keep(self, world: &mut World) {
        if let Some(one) = self {
            one.keep(world);
        }
    }

    fn holds(&self, now: Option<Instant>) {
        if let Some(one) = self {
            one.holds(now);
        }
    }
}

impl<T: Answer, E: Answer> Answer for Result<T, E> {
    fn refuses(&self) -> bool {
        self.is_err()
    }

    fn gives(&self) -> bool {
        self.is_ok()
    }

    fn keep(self, world: &mut World) {
        if let Ok(one) = self {
            one.keep(world);
        }
    }

    fn holds(&self, now: Option<Instant>) {
        match self {
            Ok(one) => one.holds(now),
            Err(error) => error.holds(now),
        }
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn keep(self, world: &mut World) {
        for one in self {
            one.keep(world);
        }
    }

    fn holds(&self, now: Option<Instant>) {
        for one in self {
            one.holds(now);
        }
    }
}

macro_rules! tuples {
    ($($part:ident)+) => {
        impl<$($part: Answer),+> Answer for ($($part,)+) {
            #[expect(non_snake_case, reason = "a part is called as its type is")]
            fn keep(self, world: &mut World) {
                let ($($part,)+) = self;
                $($part.keep(world);)+
            }

            #[expect(non_snake_case, reason = "a part is called as its type is")]
            fn holds(&self, now: Option<Instant>) {
                let ($($part,)+) = self;
                $($part.holds(now);)+
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);

/// A function of values, called with each combination of those that are there.
pub(super) trait Verb<A> {
    /// How often it was called.
    fn play(&self, world: &mut World, name: &str) -> usize;
}

/// One of `all`, and which of the others is left to `rest`.
fn pick<T: Clone>(rest: &mut usize, all: &[T]) -> T {
    let one = all[*rest % all.len()].clone();
    *rest /= all.len();
    one
}

/// A fixed and scattered order.
const fn scattered(at: usize) -> u64 {
    (at as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(23)
}

macro_rules! verbs {
    ($first:ident $($part:ident)*) => {
        #[expect(non_snake_case, reason = "an argument is called as its type is")]
        impl<Function, Given, $first: Value $(, $part: Value)*> Verb<($first, $($part,)*)> for Function
        where
            Function: Fn($first $(, $part)*) -> Given,
            Given: Answer,
        {
            fn play(&self, world: &mut World, name: &str) -> usize {
                let mut $first = $first::of(world);
                $(let $part = $part::of(world);)*
                let others = 1 $(* $part.len())*;
                if $first::IS_MADE {
                    $first.truncate((MOST / others.max(1)).max(1));
                }
                let total = $first.len() * others;
                let call = |at: usize| {
                    let mut rest = at;
                    let $first = pick(&mut rest, &$first);
                    $(let $part = pick(&mut rest, &$part);)*
                    let all: &[&dyn Any] = &[&$first $(, &$part)*];
                    let now = all.iter().find_map(|one| one.downcast_ref::<Instant>().copied());
                    let given = self($first $(, $part)*);
                    given.holds(now);
                    given
                };
                let show = |at: usize| {
                    let mut rest = at;
                    let $first = pick(&mut rest, &$first);
                    $(let $part = pick(&mut rest, &$part);)*
                    format!("{:?}", ($first, $($part,)*))
                };
                let mut seen = BTreeMap::new();
                for at in 0..total {
                    let given = catch_unwind(AssertUnwindSafe(|| call(at)))
                        .unwrap_or_else(|_| panic!("{name} of {}", show(at)));
                    if given.gives() {
                        seen.insert(scattered(at), at);
                    }
                    if seen.len() > SEEN {
                        seen.pop_last();
                    }
                }
                for at in seen.into_values() {
                    let given = call(at);
                    assert_eq!(
                        format!("{given:?}"),
                        format!("{:?}", call(at)),
                        "{name}: the same again"
                    );
                    given.keep(world);
                }
                total
            }
        }
    };
}

verbs!(A);
verbs!(A B);
verbs!(A B C);
verbs!(A B C D);
verbs!(A B C D E);
verbs!(A B C D E F);

/// One that takes nothing.
impl<Function: Fn() -> Given, Given: Answer> Verb<()> for Function {
    fn play(&self, world: &mut World, _name: &str) -> usize {
        self().keep(world);
        1
    }
}

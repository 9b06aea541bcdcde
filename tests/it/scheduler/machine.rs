//! The scheduler beside one that is slow and plain: the same decisions, whatever
//! happens to both.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sendwhen::Priority;

use super::scheduler_ops::{Op, Pair, Setting};

/// Draws what happens; knows nothing of what comes of it.
#[derive(Clone, Debug)]
struct Drawn {
    setting: Setting,
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Drawn;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Drawn> {
        let pool = (10..600_u64, 1..6_u64, 5..60_u64, 5..12_u64);
        let set = (0..3_usize, prop::option::weighted(0.3, 0..3_usize));
        let route = (prop::collection::vec(set, 1..3), 0..3_000_u64);
        (
            1..60_u64,
            prop::collection::vec(pool, 3),
            prop::collection::vec(route, 1..4),
            prop::collection::vec(1..5_u32, 3),
        )
            .prop_map(|(aging, pools, routes, weights)| Drawn {
                setting: Setting {
                    aging,
                    pools,
                    routes,
                    weights,
                },
            })
            .boxed()
    }

    fn transitions(state: &Drawn) -> BoxedStrategy<Op> {
        let routes = state.setting.routes.len();
        let priority = prop::sample::select(&[Priority::Low, Priority::Normal, Priority::High][..]);
        let submit = (
            0..routes,
            0..3_u32,
            priority,
            1..5_000_u64,
            prop_oneof![2 => Just(0), 1 => 1..6_u64],
        )
            .prop_map(|(route, tenant, priority, tokens, images)| Op::Submit {
                route,
                tenant,
                priority,
                tokens,
                images,
            });
        prop_oneof![
            8 => submit,
            6 => (0..4_000_u64).prop_map(Op::Pass),
            5 => any::<u64>().prop_map(Op::Answer),
            1 => any::<u64>().prop_map(Op::Fail),
            1 => any::<u64>().prop_map(Op::Cancel),
        ]
        .boxed()
    }

    fn apply(state: Drawn, _: &Op) -> Drawn {
        state
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Pair;
    type Reference = Self;

    fn init_test(state: &Drawn) -> Pair {
        Pair::new(&state.setting)
    }

    fn apply(mut pair: Pair, _: &Drawn, op: Op) -> Pair {
        pair.apply(&op);
        pair
    }
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let least = if cfg!(debug_assertions) { 100 } else { 1_000 };
    ProptestConfig {
        cases: default.cases.max(least),
        max_shrink_iters: 4_000,
        ..default
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn it_decides_as_the_naive_one_does(sequential 1..80 => Machine);
}

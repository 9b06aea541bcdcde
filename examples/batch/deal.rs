//! Whose each prompt is, how urgent it is, and whether it comes at once.

use std::{collections::HashMap, num::NonZeroU32};

use sendwhen::Priority;

use super::input::Prompt;

/// A prompt that somebody wants to be answered.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) prompt: Prompt,
    /// Its place among [`Dealt::tenants`].
    pub(crate) tenant: u32,
    pub(crate) priority: Priority,
}

/// Somebody who shares with others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) weight: NonZeroU32,
}

/// All prompts.
#[derive(Debug, Default)]
pub(crate) struct Dealt {
    /// Those that come at once, then those that come later.
    pub(crate) wanted: Vec<Wanted>,
    /// How many come at once.
    pub(crate) at_once: usize,
    pub(crate) tenants: Vec<Tenant>,
}

impl Dealt {
    /// Leaves out prompts that are done already.
    pub(crate) fn leave_out(&mut self, done: impl Fn(&Prompt) -> bool) {
        let open = |wanted: &&Wanted| !done(&wanted.prompt);
        self.at_once = self.wanted.iter().take(self.at_once).filter(open).count();
        self.wanted.retain(|wanted| !done(&wanted.prompt));
        if self.at_once == 0 {
            // There is nothing that the others could come after.
            self.at_once = self.wanted.len();
        }
    }
}

/// Deals out `prompts`: those that name no tenant in turn to as many as there are
/// `weights`, and of those that name no priority a share of `urgent`, evenly.
/// These come later.
pub(crate) fn deal(prompts: Vec<Prompt>, weights: &[NonZeroU32], urgent: f64) -> Dealt {
    let mut dealt = Dealt::default();
    let mut known = HashMap::new();
    let mut turns = weights.iter().zip(1_u32..).cycle();
    let (mut later, mut open) = (Vec::new(), 0.0);
    for mut prompt in prompts {
        let tenant = match prompt.tenant.take() {
            Some(name) => Some((name, NonZeroU32::MIN)),
            None => turns
                .next()
                .map(|(weight, number)| (format!("tenant {number}"), *weight)),
        };
        let (name, weight) = tenant.unwrap_or((String::new(), NonZeroU32::MIN));
        let tenant = *known.entry(name.clone()).or_insert_with(|| {
            dealt.tenants.push(Tenant { name, weight });
            u32::try_from(dealt.tenants.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let priority = prompt.priority.map(Priority::from);
        open += if priority.is_none() { urgent } else { 0.0 };
        // Sums of such shares are a little short.
        let comes_later = priority.is_none() && open > 1.0 - 1e-9;
        open -= if comes_later { 1.0 } else { 0.0 };
        let wanted = Wanted {
            prompt,
            tenant,
            priority: match priority {
                Some(priority) => priority,
                None if comes_later => Priority::Urgent,
                None => Priority::Normal,
            },
        };
        if comes_later {
            later.push(wanted);
        } else {
            dealt.wanted.push(wanted);
        }
    }
    dealt.at_once = dealt.wanted.len();
    dealt.wanted.append(&mut later);
    dealt.leave_out(|_| false);
    dealt
}

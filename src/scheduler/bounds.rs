//! How much may wait, and what gives way where it is too much.

use core::num::NonZeroU32;

use super::{
    Scheduler,
    entry::Entry,
    job::{Bounds, Dropped, Full, Shed},
    queue::CLASSES,
    route::Route,
};

/// What is known of a tenant.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tenant {
    pub(super) weight: NonZeroU32,
    /// Where it has bounds of its own.
    pub(super) bounds: Option<Bounds>,
    /// How many of its calls wait, and what they cost.
    pub(super) waiting: Load,
    /// How many of them are in the queue, by class.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) queued: [u32; CLASSES],
}

/// So many calls that cost so much, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Load {
    calls: usize,
    cost: u128,
}

impl Load {
    pub(super) const NONE: Self = Self { calls: 0, cost: 0 };

    pub(super) const fn add(&mut self, cost: u64) {
        self.calls = self.calls.saturating_add(1);
        self.cost = self.cost.saturating_add(cost as u128);
    }

    pub(super) const fn take(&mut self, cost: u64) {
        self.calls = self.calls.saturating_sub(1);
        self.cost = self.cost.saturating_sub(cost as u128);
    }

    const fn has_no_room(&self, bounds: &Bounds) -> bool {
        self.calls >= bounds.calls
    }

    const fn costs_too_much(&self, cost: u64, bounds: &Bounds) -> bool {
        self.cost.saturating_add(cost as u128) > bounds.cost.as_nanos()
    }
}

impl Tenant {
    pub(super) const NEW: Self = Self {
        weight: NonZeroU32::MIN,
        bounds: None,
        waiting: Load::NONE,
        queued: [0; CLASSES],
    };

    /// A call of `class` is in the queue, or no longer.
    pub(super) fn count(&mut self, class: usize, more: bool) {
        if let Some(queued) = self.queued.get_mut(class) {
            *queued = if more {
                queued.saturating_add(1)
            } else {
                queued.saturating_sub(1)
            };
        }
    }

    fn has_queued(&self, class: usize) -> bool {
        self.queued.get(class).is_some_and(|queued| *queued > 0)
    }

    /// Nothing of it waits: all is to be counted anew.
    #[cfg(feature = "serde")]
    pub(super) const fn nothing_waits(&mut self) {
        (self.waiting, self.queued) = (Load::NONE, [0; CLASSES]);
    }

    /// Whether nothing is lost if it is forgotten.
    pub(super) fn is_new(&self) -> bool {
        self.weight == NonZeroU32::MIN && self.bounds.is_none() && self.waiting == Load::NONE
    }
}

impl Scheduler {
    /// Makes room for a call.
    pub(super) fn make_room(&mut self, call: &Entry) -> Result<(), Full> {
        while let Some((full, bounds)) = self.full(call) {
            if u128::from(call.cost) > bounds.cost.as_nanos() || bounds.calls == 0 {
                return Err(full);
            }
            let one = matches!(full, Full::TenantCalls | Full::TenantCost);
            let tenant = one.then_some(call.tenant);
            let victim = match self.shed {
                Shed::New => None,
                Shed::Lowest => self.lowest(tenant, call.class()),
                Shed::Oldest => self.oldest(tenant),
            };
            match victim {
                Some(slot) => self.drop_call(slot, Dropped::Shed(full)),
                None => return Err(full),
            }
        }
        Ok(())
    }

    /// The bound that a call would pass.
    fn full(&self, call: &Entry) -> Option<(Full, Bounds)> {
        let tenant = self.tenants.get(&call.tenant);
        let tenant = tenant.copied().unwrap_or(Tenant::NEW);
        let own = tenant.bounds.unwrap_or(self.tenant_bounds);
        let all = self.bounds;
        if tenant.waiting.has_no_room(&own) {
            Some((Full::TenantCalls, own))
        } else if tenant.waiting.costs_too_much(call.cost, &own) {
            Some((Full::TenantCost, own))
        } else if self.load.has_no_room(&all) {
            Some((Full::Calls, all))
        } else if self.load.costs_too_much(call.cost, &all) {
            Some((Full::Cost, all))
        } else {
            None
        }
    }

    /// Of the lowest class below `class` in which something is queued: of
    /// `tenant`, or of the tenant that has most waiting for its weight, the last.
    fn lowest(&self, tenant: Option<u32>, class: usize) -> Option<u32> {
        let found = (0..class).find_map(|class| {
            let tenant = match tenant {
                Some(number) => {
                    let known = self.tenants.get(&number);
                    known
                        .filter(|known| known.has_queued(class))
                        .map(|_| number)
                }
                None => self
                    .tenants
                    .iter()
                    .filter(|(_, known)| known.has_queued(class))
                    .max_by_key(|(_, tenant)| {
                        let weight = u128::from(tenant.weight.get());
                        tenant.waiting.cost.checked_div(weight)
                    })
                    .map(|(number, _)| *number),
            };
            Some((class, tenant?))
        });
        let (class, tenant) = found?;
        let lanes = self.routes.iter().filter_map(|route| route.lane(class));
        lanes
            .filter_map(|lane| lane.last_of(tenant))
            .max_by_key(|(place, _)| *place)
            .map(|(_, slot)| slot)
    }

    /// The one that is due first: of `tenant`, or of all.
    fn oldest(&self, tenant: Option<u32>) -> Option<u32> {
        let lanes = self.routes.iter().flat_map(Route::lanes);
        let Some(tenant) = tenant else {
            let oldest = lanes.filter_map(|lane| Some((lane.oldest()?, lane)));
            let (_, lane) = oldest.min_by_key(|(place, _)| *place)?;
            return lane.oldest_call().map(|first| first.slot);
        };
        lanes
            .filter_map(|lane| lane.first_of(tenant))
            .min_by_key(|first| first.place)
            .map(|first| first.slot)
    }

    /// A call of `tenant` begins to wait.
    pub(super) fn load(&mut self, tenant: u32, cost: u64) {
        self.load.add(cost);
        let tenant = self.tenants.entry(tenant).or_insert(Tenant::NEW);
        tenant.waiting.add(cost);
    }

    /// A call of `tenant` waits no longer.
    pub(super) fn unload(&mut self, tenant: u32, cost: u64) {
        self.load.take(cost);
        if let Some(known) = self.tenants.get_mut(&tenant) {
            known.waiting.take(cost);
            if known.is_new() {
                self.tenants.remove(&tenant);
            }
        }
    }
}

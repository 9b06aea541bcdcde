//! When output is counted: which rule is in force, found out by elimination.

use core::time::Duration;

use super::{
    forecast::Spread,
    kind::{Kind, Whole},
    ledger::{Counting, Entry, Learnt, Ledger, Seen, Sending, Stamped},
    settings::OutputRule,
};
use crate::{
    error::ConfigError,
    explain::Level,
    hints::Meter,
    limit::Refusal,
    time::Instant,
    units::{Dimension, Rate},
};

/// The ledgers of output tokens: one for each rule by which a server may count
/// them. What is sent must pass all that are not refuted.
///
/// Heads speak against output being reserved, or against its being anything
/// else: by how far they move the account of the one, less how far they move
/// that of the other, because what speaks against both speaks against none. Each
/// adds at most one unit to a doubt (the server's rounding, or what a request
/// produces, whichever is more), and what both doubts have in common is taken
/// off. A rule is refuted while its doubt is over two units. Nothing is chosen:
/// to run by a wrong rule costs three quarters of the throughput or as many
/// refusals, and to choose one at a time goes to and fro.
///
/// Output counted at admission and output counted as it is produced are not
/// told apart. Both accounts hold at a price of a second or two, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Output {
    ledgers: [Ledger; RULES.len()],
    /// In what is produced being counted, and in the most that may be; in 256ths
    /// of a unit.
    doubts: [u64; 2],
    /// Which of the two the caller knows to be in force.
    known: Option<OutputRule>,
    /// Which are not refuted: asked more often than it changes.
    stands: [bool; RULES.len()],
}

/// In the order of the ledgers.
const RULES: [Counting; 3] = [
    Counting::AtAdmission,
    Counting::AsProduced,
    Counting::Reserved,
];

const UNIT: u64 = 256;

/// The doubt in reserved output to begin with: the Claude API's documents say
/// since February 2026 that it is not. The first heads that show less than was
/// believed overcome it.
const UNLIKELY: u64 = 576;

/// What is remembered of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Entries([Entry; RULES.len()]);

impl Entries {
    /// Nothing was charged.
    pub(crate) const BLANK: Self = Self([Entry::BLANK; RULES.len()]);
}

/// What a request may produce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Amounts {
    /// What it is expected to.
    pub(crate) forecast: u64,
    /// The most that it may.
    pub(crate) most: u64,
}

impl Amounts {
    /// What is charged by each rule.
    const fn by_rule(self) -> [u64; RULES.len()] {
        [self.forecast, self.forecast, self.most]
    }
}

impl Output {
    pub(crate) const fn new() -> Self {
        const LEDGERS: [Ledger; RULES.len()] = {
            let [admitted, produced, reserved] = RULES;
            [
                Ledger::new(admitted, Stamped::AtEither),
                Ledger::new(produced, Stamped::AtEither),
                Ledger::new(reserved, Stamped::AtEither),
            ]
        };
        Self {
            ledgers: LEDGERS,
            doubts: [0, UNLIKELY],
            known: None,
            stands: [true, true, false],
        }
    }

    /// The ledger that what is known of the limit can be read from.
    pub(crate) const fn any(&self) -> &Ledger {
        let [ledger, ..] = &self.ledgers;
        ledger
    }

    /// The caller knows which rule is in force, or leaves it to heads.
    pub(crate) const fn settle_for(&mut self, known: Option<OutputRule>) {
        self.known = known;
        self.judge();
    }

    /// To be called after each change of what speaks for or against a rule.
    const fn judge(&mut self) {
        let [produced, reserved] = match self.known {
            Some(OutputRule::Reserved) => [false, true],
            Some(_) => [true, false],
            None => {
                let [produced, reserved] = self.doubts;
                let most = UNIT.saturating_mul(2);
                [produced <= most, reserved <= most]
            }
        };
        self.stands = [produced, produced, reserved];
    }

    /// The ledgers of rules that are not refuted, with what they charge.
    fn standing(&self, amounts: Amounts) -> impl Iterator<Item = (&Ledger, Counting, u64)> {
        self.ledgers
            .iter()
            .zip(RULES)
            .zip(amounts.by_rule())
            .zip(self.stands)
            .filter(|&(_, stands)| stands)
            .map(|(((ledger, rule), amount), _)| (ledger, rule, amount))
    }

    pub(crate) fn set_limit(
        &mut self,
        now: Instant,
        rate: Rate,
        burst: u64,
        open: u64,
    ) -> Result<(), ConfigError> {
        for ledger in &mut self.ledgers {
            ledger.set_limit(now, rate, burst, open)?;
        }
        Ok(())
    }

    /// Whether it would pass by all rules that stand.
    pub(crate) fn peek(
        &self,
        now: Instant,
        amounts: Amounts,
        spread: Spread,
        sending: &Sending,
    ) -> Result<(), Refusal> {
        let surprise = self.surprise(amounts, sending);
        let mut latest = None;
        for (ledger, rule, amount) in self.standing(amounts) {
            match ledger.peek(now, amount, rule.spread(spread), surprise, sending) {
                Ok(()) => {}
                Err(Refusal::Until(until)) => latest = latest.max(Some(until)),
                // What is reserved may be more than there ever is. Then that
                // rule cannot be kept, and the other decides.
                Err(Refusal::Never) if rule == Counting::Reserved => {}
                Err(Refusal::Never) => return Err(Refusal::Never),
            }
        }
        latest.map_or(Ok(()), |until| Err(Refusal::Until(until)))
    }

    /// From when on one more may go beside others, by all rules that stand.
    pub(crate) fn paced(&self, now: Instant, amounts: Amounts) -> Option<Instant> {
        let standing = self.standing(amounts);
        standing.filter_map(|(ledger, ..)| ledger.paced(now)).max()
    }

    /// The level by the rule that asks the most.
    pub(crate) fn explain(
        &self,
        now: Instant,
        amounts: Amounts,
        spread: Spread,
        sending: &Sending,
    ) -> Option<Level> {
        let surprise = self.surprise(amounts, sending);
        self.standing(amounts)
            .filter_map(|(ledger, rule, amount)| {
                let spread = rule.spread(spread);
                ledger.explain(
                    now,
                    Dimension::OutputTokens,
                    amount,
                    spread,
                    surprise,
                    sending,
                )
            })
            .min_by_key(Level::spare)
    }

    /// What one of the rules explains is no surprise.
    fn surprise(&self, amounts: Amounts, sending: &Sending) -> u64 {
        let surprises = self
            .standing(amounts)
            .map(|(ledger, ..)| ledger.surprise(sending));
        surprises.min().unwrap_or_default()
    }

    pub(crate) fn unheard(
        &self,
        now: Instant,
        amounts: Amounts,
        sending: &Sending,
    ) -> Option<Instant> {
        // What is reserved is known, heard or not; and a head says nothing of
        // what is yet to be produced.
        let ([admitted, ..], [stands, ..]) = (&self.ledgers, self.stands);
        if !stands {
            return None;
        }
        admitted.unheard(now, amounts.forecast, sending)
    }

    /// From when it passes if all that is in flight, `open`, turns out to cost
    /// nothing.
    pub(crate) fn earliest(&self, now: Instant, amounts: Amounts, open: u64) -> Instant {
        // A rule that stands may fall; the one that asks least decides.
        self.standing(amounts)
            .map(|(ledger, rule, amount)| match rule {
                Counting::Reserved => now,
                Counting::AtAdmission | Counting::AsProduced => ledger.earliest(now, amount, open),
            })
            .min()
            .unwrap_or(now)
    }

    /// As [`Ledger::enter`], for each rule.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        amounts: Amounts,
        spread: Spread,
        open: u64,
        sending: &Sending,
        entries: &mut Entries,
    ) {
        let places = entries.0.iter_mut().zip(&mut self.ledgers);
        for (((entry, ledger), amount), rule) in places.zip(amounts.by_rule()).zip(RULES) {
            // As if all in flight might produce as many times what is expected.
            let open = match rule {
                Counting::Reserved => scale(open, amounts.most, amounts.forecast),
                Counting::AtAdmission | Counting::AsProduced => open,
            };
            ledger.enter(now, amount, rule.spread(spread), open, sending, entry);
        }
    }

    pub(crate) fn refund(&mut self, number: u64, entries: &mut Entries) -> bool {
        let places = entries.0.iter_mut().zip(&mut self.ledgers);
        places.fold(false, |lifted, (entry, ledger)| {
            ledger.refund(number, entry, false) | lifted
        })
    }

    pub(crate) fn undo(&mut self, entries: &mut Entries) -> bool {
        let places = entries.0.iter_mut().zip(&mut self.ledgers);
        places.fold(false, |lifted, (entry, ledger)| ledger.undo(entry) | lifted)
    }

    pub(crate) fn settle(
        &mut self,
        now: Instant,
        number: u64,
        entries: &mut Entries,
        actual: u64,
    ) -> bool {
        let places = entries.0.iter_mut().zip(&mut self.ledgers);
        places.fold(false, |lifted, (entry, ledger)| {
            ledger.settle(now, number, entry, actual) | lifted
        })
    }

    /// It produced so much already.
    pub(crate) fn progress(
        &mut self,
        now: Instant,
        number: u64,
        entries: &mut Entries,
        produced: u64,
    ) {
        for (entry, ledger) in entries.0.iter_mut().zip(&mut self.ledgers) {
            ledger.progress(now, number, entry, produced);
        }
    }

    /// The request was answered well, whatever its head shows.
    pub(crate) fn confirm(&mut self, number: u64, sent: Instant, entries: &Entries) {
        for (entry, ledger) in entries.0.iter().zip(&mut self.ledgers) {
            ledger.confirm(Seen {
                number,
                sent,
                entry,
            });
        }
    }

    /// As [`Ledger::observe`], for each rule; and what it says against them.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another part of what a head shows"
    )]
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        seen: Option<(u64, Instant, &Entries)>,
        meter: &Meter,
        whole: Option<(Whole, Kind)>,
        open: u64,
        learn: bool,
        sending: &Sending,
    ) -> bool {
        let mut all = [Learnt::default(); RULES.len()];
        // Of reservations as much more is open as each is larger.
        let forecast = seen.map_or(0, |(_, _, entries)| {
            let [entry, ..] = &entries.0;
            entry.amount()
        });
        for (place, (learnt, ledger)) in all.iter_mut().zip(&mut self.ledgers).enumerate() {
            let seen = seen.and_then(|(number, sent, entries)| {
                entries.0.get(place).map(|entry| Seen {
                    number,
                    sent,
                    entry,
                })
            });
            let open = seen.map_or(open, |seen| scale(open, seen.entry.amount(), forecast));
            *learnt = ledger.observe(now, seen, meter, whole, open, learn, sending);
        }
        let step = meter
            .remaining
            .map_or(0, |left| u64::from(left.rounding).saturating_mul(2));
        self.doubt(&all, step.max(forecast).max(1));
        all.iter().any(|learnt| learnt.loosened)
    }

    fn doubt(&mut self, all: &[Learnt; RULES.len()], unit: u64) {
        let [_, produced, reserved] = all;
        // What speaks against both speaks against none.
        let common = produced.moved.min(reserved.moved);
        // Half a unit is noise.
        let noise = unit.checked_div(2).unwrap_or_default();
        for (doubt, learnt) in self.doubts.iter_mut().zip([produced, reserved]) {
            let against = if learnt.uncharged {
                unit
            } else {
                let more = learnt.moved.saturating_sub(common);
                more.saturating_sub(noise).min(unit)
            };
            let beyond = against.saturating_mul(UNIT);
            *doubt = doubt.saturating_add(beyond.checked_div(unit).unwrap_or_default());
        }
        let least = self.doubts.iter().copied().min().unwrap_or_default();
        for doubt in &mut self.doubts {
            *doubt = doubt.saturating_sub(least);
        }
        self.judge();
    }

    /// A refusal that reserved output explains best. What heads said against it
    /// weighs as much as ever.
    pub(crate) fn blame_reservation(&mut self) {
        let [produced, reserved] = &mut self.doubts;
        let all = UNIT.saturating_mul(4);
        let less = all.min(*reserved);
        *reserved = reserved.saturating_sub(less);
        *produced = produced.saturating_add(all.saturating_sub(less));
        self.judge();
    }

    pub(crate) fn refused(
        &mut self,
        now: Instant,
        amounts: Amounts,
        wait: Duration,
        sending: &Sending,
    ) {
        for (ledger, amount) in self.ledgers.iter_mut().zip(amounts.by_rule()) {
            ledger.refused(now, amount, wait, sending);
        }
    }
}

/// `amount * by / of`, rounded down; saturating.
fn scale(amount: u64, by: u64, of: u64) -> u64 {
    let wide = u128::from(amount).saturating_mul(u128::from(by));
    let scaled = wide.checked_div(u128::from(of)).unwrap_or_default();
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hints::Family, units::Dimension};

    impl Output {
        fn stands_by(&self, rule: Counting) -> bool {
            RULES
                .iter()
                .zip(self.stands)
                .any(|(&of, stands)| of == rule && stands)
        }
    }

    const WANTED: Amounts = Amounts {
        forecast: 300,
        most: 1_000,
    };

    /// Sends twenty requests, a second apart; a head shows `left` of each.
    fn after(left: impl Fn(i64) -> i64) -> Output {
        let mut output = Output::new();
        let rate = Rate::per_minute(60_000).unwrap();
        output.set_limit(Instant::ZERO, rate, 60_000, 0).unwrap();
        for (number, sent) in (0..20).zip(1..) {
            let now = Instant::from_millis(number);
            let open = number.saturating_mul(WANTED.forecast);
            let mut entries = Entries::BLANK;
            output.enter(
                now,
                WANTED,
                Spread::NONE,
                open,
                &Sending::NONE,
                &mut entries,
            );
            let meter = Meter::new(Family::Standard, Dimension::OutputTokens)
                .limit(60_000)
                .remaining(left(sent), 0);
            let seen = Some((number, now, &entries));
            output.observe(now, seen, &meter, None, open, true, &Sending::NONE);
        }
        output
    }

    #[test]
    fn output_that_is_reserved_shows_itself() {
        let output = after(|sent| 60_000 - sent * 1_000);
        assert!(output.stands_by(Counting::Reserved));
        assert!(!output.stands_by(Counting::AsProduced));
    }

    #[test]
    fn output_that_is_produced_later_shows_itself() {
        let output = after(|_| 60_000);
        assert!(output.stands_by(Counting::AsProduced));
        assert!(!output.stands_by(Counting::Reserved));
    }

    #[test]
    fn output_charged_at_once_is_as_if_produced_at_once() {
        let output = after(|sent| 60_000 - sent * 300);
        assert!(output.stands_by(Counting::AsProduced));
        assert!(!output.stands_by(Counting::Reserved));
    }

    #[test]
    fn a_refusal_that_only_reservation_explains_is_enough() {
        let mut output = Output::new();
        output.blame_reservation();
        assert!(output.stands_by(Counting::Reserved));
        assert!(output.stands_by(Counting::AsProduced));
        output.blame_reservation();
        assert!(!output.stands_by(Counting::AsProduced));
    }

    /// At the edge of a window a refusal may show a little left, which looks as
    /// if more was reserved. It once made all that heads had said forgotten, and
    /// five went where seventy had.
    #[test]
    fn one_refusal_weighs_no_more_than_many_heads() {
        let mut output = after(|_| 60_000);
        let [_, reserved] = output.doubts;
        assert!(reserved > 8 * UNIT, "{reserved}");
        output.blame_reservation();
        assert!(!output.stands_by(Counting::Reserved));
        assert!(output.stands_by(Counting::AsProduced));
    }

    #[test]
    fn a_rule_that_is_known_is_not_doubted() {
        let mut output = after(|_| 60_000);
        output.settle_for(Some(OutputRule::Reserved));
        assert!(output.stands_by(Counting::Reserved));
        assert!(!output.stands_by(Counting::AtAdmission));
        output.settle_for(Some(OutputRule::AsProduced));
        output.blame_reservation();
        assert!(!output.stands_by(Counting::Reserved));
        assert!(output.stands_by(Counting::AsProduced));
    }

    #[test]
    fn a_reservation_beyond_the_limit_forbids_nothing() {
        let mut output = after(|sent| 60_000 - sent * 1_000);
        output.blame_reservation();
        let huge = Amounts {
            forecast: 300,
            most: 64_000,
        };
        let now = Instant::from_secs(60);
        let passes = output.peek(now, huge, Spread::NONE, &Sending::NONE);
        assert_eq!(passes, Ok(()));
    }

    #[test]
    fn what_is_undone_lifts_where_it_was_charged() {
        for rule in [OutputRule::AsProduced, OutputRule::Reserved] {
            let mut output = Output::new();
            output.settle_for(Some(rule));
            let rate = Rate::per_minute(60_000).unwrap();
            output.set_limit(Instant::ZERO, rate, 60_000, 0).unwrap();
            let mut entries = Entries::BLANK;
            let now = Instant::ZERO;
            output.enter(now, WANTED, Spread::NONE, 0, &Sending::NONE, &mut entries);
            assert!(output.undo(&mut entries), "{rule:?}");
            assert!(!output.undo(&mut entries), "{rule:?}");
        }
    }
}

//! What the run has used up: calls, tokens, money, repetitions; and the refusals that follow from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::admit::Refusal;
use crate::order::{Budget, GatewayLimits};
use crate::record::RefusalReason;

/// A digest of a request's body.
pub(crate) type Digest = [u8; 32];

/// Refusals of one reason that are recorded whatever came before them.
const FIRST_OF_REASON: u32 = 20;

#[derive(Debug, Default)]
struct Used {
    seq: u32,
    forwarded: u32,
    refused: u32,
    /// By reason: there are only so many.
    reasons: BTreeMap<RefusalReason, u32>,
    parallel: u32,
    tokens: u64,
    cost_micro_usd: u64,
    held_bytes: u64,
    /// What the calls that are under way may still use up.
    reserved: Reservation,
    under_way: u32,
    /// How often each body was sent and failed; never more entries than calls are allowed.
    bodies: HashMap<Digest, Tries>,
}

/// What a call may use up of the budget, set aside from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) tokens: u64,
    pub(crate) cost_micro_usd: u64,
}

impl Reservation {
    /// Of a call that says nothing of its end: whatever there is.
    pub(crate) const ALL: Self = Self {
        tokens: u64::MAX,
        cost_micro_usd: u64::MAX,
    };

    fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_add(other.cost_micro_usd),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_sub(other.cost_micro_usd),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    sent: u32,
    failed: u32,
}

/// The accounts of one run.
#[derive(Debug)]
pub(crate) struct Accounts {
    limits: GatewayLimits,
    budget: Budget,
    used: Mutex<Used>,
    /// A call has ended, and what was set aside for it is free.
    freed: Notify,
}

impl Accounts {
    pub(crate) fn new(limits: &GatewayLimits, budget: &Budget) -> Self {
        Self {
            limits: limits.clone(),
            budget: budget.clone(),
            used: Mutex::default(),
            freed: Notify::new(),
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next position among calls.
    pub(crate) fn next(&self) -> u32 {
        let mut used = self.used();
        used.seq = used.seq.saturating_add(1);
        used.seq
    }

    /// Whether a refusal is still recorded. After as many as calls are allowed they only count, and a gap in the
    /// positions shows them; but the first of each reason are recorded whatever came before them, so that a flood of
    /// harmless ones hides none that is not.
    pub(crate) fn is_recorded(&self, reason: RefusalReason) -> bool {
        let mut used = self.used();
        used.refused = used.refused.saturating_add(1);
        let of_reason = used.reasons.entry(reason).or_default();
        *of_reason = of_reason.saturating_add(1);
        let first = *of_reason <= FIRST_OF_REASON;
        first || used.refused <= self.limits.calls
    }

    /// Takes a place among the calls at a time, before a byte of the body is read.
    pub(crate) fn enter(&self) -> Result<(), Refusal> {
        let mut used = self.used();
        if used.parallel >= self.limits.parallel_calls {
            return Err(Refusal::new(
                RefusalReason::TooMany,
                "more calls at a time than allowed",
            ));
        }
        used.parallel += 1;
        Ok(())
    }

    /// Takes a place for a tunnel, which counts as a call.
    pub(crate) fn connect(&self) -> Result<(), Refusal> {
        self.enter()?;
        let mut used = self.used();
        if used.forwarded >= self.limits.calls {
            used.parallel -= 1;
            return Err(Refusal::new(RefusalReason::TooMany, "more calls than a run may make"));
        }
        used.forwarded += 1;
        Ok(())
    }

    /// Gives the place back, and the memory that was held there.
    pub(crate) fn leave(&self, held_bytes: u64) {
        let mut used = self.used();
        used.parallel = used.parallel.saturating_sub(1);
        used.held_bytes = used.held_bytes.saturating_sub(held_bytes);
    }

    /// Takes memory for bodies that must be whole before they are judged; false when all calls together hold too much.
    pub(crate) fn hold(&self, bytes: u64) -> bool {
        let largest = self.limits.request_bytes.saturating_add(self.limits.response_bytes);
        let mut used = self.used();
        let held_bytes = used.held_bytes.saturating_add(bytes);
        let may = held_bytes <= largest.saturating_mul(2);
        if may {
            used.held_bytes = held_bytes;
        }
        may
    }

    /// Decides whether a body may be sent; says how often it was sent before. Where the budget is not enough for it and
    /// for what is under way, it waits for that to end; alone it goes, if anything is left.
    pub(crate) async fn send(&self, body: Digest, reservation: Reservation) -> Result<u32, Refusal> {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From before the look on, so that no end is missed.
            freed.as_mut().enable();
            if let Some(decided) = self.try_send(body, reservation) {
                return decided;
            }
            freed.await;
        }
    }

    /// Returns whether what is under way leaves room in the budget for a call.
    fn has_room(&self, used: &Used, reservation: Reservation) -> bool {
        let all = used.reserved.plus(reservation);
        let fits = |most: Option<u64>, used: u64, all: u64| most.is_none_or(|most| used.saturating_add(all) <= most);
        used.under_way == 0
            || (fits(self.budget.tokens, used.tokens, all.tokens)
                && fits(self.budget.cost_micro_usd, used.cost_micro_usd, all.cost_micro_usd))
    }

    fn is_spent(&self, used: &Used) -> bool {
        let is_spent = |most: Option<u64>, used: u64| most.is_some_and(|most| used >= most);
        is_spent(self.budget.tokens, used.tokens) || is_spent(self.budget.cost_micro_usd, used.cost_micro_usd)
    }

    /// `None` while there is no room.
    fn try_send(&self, body: Digest, reservation: Reservation) -> Option<Result<u32, Refusal>> {
        let mut used = self.used();
        if !self.is_spent(&used) && !self.has_room(&used, reservation) {
            return None;
        }
        let decided = self.decide(&mut used, body);
        if decided.is_ok() {
            used.under_way = used.under_way.saturating_add(1);
            used.reserved = used.reserved.plus(reservation);
        }
        Some(decided)
    }

    fn decide(&self, used: &mut Used, body: Digest) -> Result<u32, Refusal> {
        let is_spent = |most: Option<u64>, used: u64| most.is_some_and(|most| used >= most);
        if is_spent(self.budget.tokens, used.tokens) {
            return Err(Refusal::new(RefusalReason::BudgetExhausted, "the tokens are used up"));
        }
        if is_spent(self.budget.cost_micro_usd, used.cost_micro_usd) {
            return Err(Refusal::new(RefusalReason::BudgetExhausted, "the money is used up"));
        }
        if used.forwarded >= self.limits.calls {
            return Err(Refusal::new(RefusalReason::TooMany, "more calls than a run may make"));
        }
        let tries = used.bodies.entry(body).or_default();
        if tries.failed > self.limits.retries {
            return Err(Refusal::new(
                RefusalReason::RetriesExhausted,
                "the same body failed as often as it may be repeated",
            ));
        }
        let before = tries.sent;
        tries.sent += 1;
        used.forwarded += 1;
        Ok(before)
    }

    /// The upstream failed a body.
    pub(crate) fn failed(&self, body: Digest) {
        if let Some(tries) = self.used().bodies.get_mut(&body) {
            tries.failed = tries.failed.saturating_add(1);
        }
    }

    /// Enters what a call used up in the place of what was set aside for it; says whether it went beyond the budget.
    pub(crate) fn spend(&self, tokens: u64, cost_micro_usd: u64, reservation: Reservation) -> bool {
        let mut used = self.used();
        used.under_way = used.under_way.saturating_sub(1);
        used.reserved = match used.under_way {
            0 => Reservation::default(),
            _ => used.reserved.minus(reservation),
        };
        self.freed.notify_waiters();
        used.tokens = used.tokens.saturating_add(tokens);
        used.cost_micro_usd = used.cost_micro_usd.saturating_add(cost_micro_usd);
        let is_over = |most: Option<u64>, used: u64| most.is_some_and(|most| used > most);
        is_over(self.budget.tokens, used.tokens) || is_over(self.budget.cost_micro_usd, used.cost_micro_usd)
    }
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Reservation};
    use crate::admit::Refusal;
    use crate::order::{Budget, GatewayLimits};
    use crate::record::RefusalReason;

    fn accounts() -> Accounts {
        let limits = GatewayLimits {
            parallel_calls: 2,
            calls: 5,
            retries: 1,
            ..GatewayLimits::default()
        };
        let budget = Budget {
            tokens: Some(100),
            cost_micro_usd: None,
        };
        Accounts::new(&limits, &budget)
    }

    const CALL: Reservation = Reservation {
        tokens: 10,
        cost_micro_usd: 0,
    };

    fn send(accounts: &Accounts, body: u8) -> Result<u32, Refusal> {
        accounts.try_send([body; 32], CALL).unwrap()
    }

    fn spend(accounts: &Accounts, tokens: u64) -> bool {
        accounts.spend(tokens, 0, CALL)
    }

    #[test]
    fn what_is_under_way_counts_against_the_budget_and_the_next_call_waits_for_it() {
        let accounts = accounts();
        let reserve = |tokens| Reservation {
            tokens,
            cost_micro_usd: 0,
        };
        assert_eq!(accounts.try_send([1; 32], reserve(60)), Some(Ok(0)));
        assert_eq!(
            accounts.try_send([2; 32], reserve(41)),
            None,
            "60 and 41 are more than 100"
        );
        assert_eq!(accounts.try_send([2; 32], Reservation::ALL), None);
        assert_eq!(accounts.try_send([2; 32], reserve(40)), Some(Ok(0)));
        assert_eq!(accounts.try_send([3; 32], reserve(1)), None);
        // It used less than was set aside.
        assert!(!accounts.spend(20, 0, reserve(60)));
        assert_eq!(accounts.try_send([3; 32], reserve(40)), Some(Ok(0)));
        assert!(!accounts.spend(40, 0, reserve(40)) && !accounts.spend(39, 0, reserve(40)));
        // Alone it goes, if anything is left.
        assert_eq!(accounts.try_send([4; 32], Reservation::ALL), Some(Ok(0)));
        assert!(!accounts.spend(1, 0, Reservation::ALL));
        let refused = accounts.try_send([5; 32], reserve(0)).unwrap().unwrap_err();
        assert_eq!(refused.reason, RefusalReason::BudgetExhausted);
    }

    #[test]
    fn a_body_that_fails_is_repeated_as_often_as_allowed() {
        let accounts = accounts();
        for before in 0..2 {
            assert_eq!(send(&accounts, 1), Ok(before));
            accounts.failed([1; 32]);
        }
        assert_eq!(send(&accounts, 1).unwrap_err().reason, RefusalReason::RetriesExhausted);
        assert_eq!(send(&accounts, 2), Ok(0));
    }

    #[test]
    fn a_budget_is_reached_exactly_without_harm_and_never_passed_twice() {
        let accounts = accounts();
        assert!(!spend(&accounts, 99));
        assert_eq!(send(&accounts, 1), Ok(0));
        assert!(!spend(&accounts, 1));
        assert_eq!(send(&accounts, 2).unwrap_err().reason, RefusalReason::BudgetExhausted);
        assert!(spend(&accounts, 1));
    }

    #[test]
    fn bodies_together_hold_no_more_than_two_of_the_largest_calls() {
        let accounts = accounts();
        let largest = accounts.limits.request_bytes + accounts.limits.response_bytes;
        assert!(accounts.hold(largest) && accounts.hold(largest) && !accounts.hold(1));
        accounts.leave(largest);
        assert!(accounts.hold(1));
    }

    #[test]
    fn calls_places_and_recorded_refusals_are_counted() {
        let accounts = accounts();
        assert!(accounts.enter().is_ok() && accounts.enter().is_ok());
        assert_eq!(accounts.enter().unwrap_err().reason, RefusalReason::TooMany);
        accounts.leave(0);
        assert!(accounts.enter().is_ok());
        for byte in 0..5 {
            assert!(send(&accounts, byte).is_ok());
        }
        assert_eq!(send(&accounts, 9).unwrap_err().reason, RefusalReason::TooMany);
        let recorded = (0..90)
            .filter(|_| accounts.is_recorded(RefusalReason::TooLarge))
            .count();
        assert_eq!(recorded, 20);
        assert!(
            accounts.is_recorded(RefusalReason::ModelNotAdmitted),
            "no flood hides another reason"
        );
    }
}

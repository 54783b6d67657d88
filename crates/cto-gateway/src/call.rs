//! The record of one call, which is written whatever happens to the call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::accounts::{Digest, Reservation};
use crate::admit::Refusal;
use crate::gateway::Gateway;
use crate::order::{Dialect, Price};
use crate::record::{CallOutcome, CallRecord, CallSide, Record};
use crate::request::Judged;
use crate::stream::Seen;
use crate::usage;

/// A place among the calls at a time and the memory that its bodies hold, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gateway: Arc<Gateway>,
    held_bytes: u64,
}

impl Place {
    /// Takes a place, before a byte of the body is read.
    pub(crate) fn of_call(gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        gateway.accounts.enter()?;
        Ok(Self::taken(gateway))
    }

    /// Takes a place for a tunnel.
    pub(crate) fn of_tunnel(gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        gateway.accounts.connect()?;
        Ok(Self::taken(gateway))
    }

    fn taken(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            held_bytes: 0,
        }
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Takes memory for more of a body.
    pub(crate) fn hold(&mut self, piece: &[u8]) -> bool {
        let bytes = piece.len() as u64;
        let may = self.gateway.accounts.hold(bytes);
        if may {
            self.held_bytes += bytes;
        }
        may
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gateway.accounts.leave(self.held_bytes);
    }
}

/// How a call ended, and whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) outcome: CallOutcome,
    pub(crate) side: CallSide,
    pub(crate) detail: &'static str,
}

impl Ending {
    pub(crate) const COMPLETED: Self = Self {
        outcome: CallOutcome::Completed,
        side: CallSide::None,
        detail: "",
    };

    pub(crate) fn of_upstream(outcome: CallOutcome, detail: &'static str) -> Self {
        Self {
            outcome,
            side: CallSide::Upstream,
            detail,
        }
    }

    pub(crate) fn of_gateway(outcome: CallOutcome, detail: &'static str) -> Self {
        Self {
            outcome,
            side: CallSide::Gateway,
            detail,
        }
    }
}

/// A call that was forwarded. Dropped before its end it counts as left by the engine.
#[derive(Debug)]
pub(crate) struct Call {
    place: Place,
    record: CallRecord,
    price: Option<Price>,
    reservation: Reservation,
    body: Digest,
    response: Sha256,
    came_at: Instant,
    sent_at: Instant,
    is_closed: bool,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Call {
    /// Opens the record of a call whose body was admitted.
    pub(crate) async fn open(
        place: Place,
        judged: &Judged<'_>,
        dialect: Dialect,
        body: &[u8],
        came_at: Instant,
    ) -> Result<Self, Refusal> {
        let digest: Digest = Sha256::digest(body).into();
        let accounts = &place.gateway.accounts;
        let price = judged.served.route.price;
        let reservation =
            usage::at_most(body.len() as u64, judged.most_output).map_or(Reservation::ALL, |most| Reservation {
                tokens: most.input.saturating_add(most.output),
                cost_micro_usd: price.map_or(0, |price| usage::cost(most, price)),
            });
        let retry = accounts.send(digest, reservation).await?;
        let record = CallRecord {
            seq: accounts.next(),
            provider: judged.served.route.provider.clone(),
            model: judged.served.route.model.clone(),
            fallback: judged.served.fallback,
            dialect,
            stream: judged.stream,
            retry,
            request_bytes: body.len() as u64,
            request_sha256: HEXLOWER.encode(&digest),
            response_bytes: 0,
            response_sha256: String::new(),
            status: None,
            outcome: CallOutcome::EngineGone,
            side: CallSide::Engine,
            detail: String::new(),
            served_model: None,
            finish: None,
            tool_calls: 0,
            usage: None,
            cost_micro_usd: None,
            first_byte_us: None,
            duration_us: 0,
        };
        place.gateway.record(Record::Begun { seq: record.seq });
        Ok(Self {
            place,
            record,
            price,
            reservation,
            body: digest,
            response: Sha256::new(),
            came_at,
            sent_at: Instant::now(),
            is_closed: false,
        })
    }

    pub(crate) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    pub(crate) fn status(&mut self, status: u16) {
        self.record.status = Some(status);
    }

    /// Bytes of the response came, decoded.
    pub(crate) fn came(&mut self, piece: &[u8]) {
        // A decoder may need more than it was given before it gives anything.
        if piece.is_empty() {
            return;
        }
        if self.record.response_bytes == 0 {
            self.record.first_byte_us = Some(micros(self.sent_at.elapsed()));
        }
        self.record.response_bytes += piece.len() as u64;
        self.response.update(piece);
    }

    /// Takes memory for more of a response that is judged as a whole.
    pub(crate) fn hold(&mut self, piece: &[u8]) -> bool {
        self.place.hold(piece)
    }

    /// Takes over what the response said.
    pub(crate) fn saw(&mut self, seen: &Seen) {
        self.record.served_model.clone_from(&seen.served_model);
        self.record.finish.clone_from(&seen.finish);
        self.record.tool_calls = seen.tool_calls;
        self.record.usage = seen.usage;
    }

    /// Writes the record.
    pub(crate) fn close(mut self, ending: Ending) {
        self.write(ending);
    }

    fn write(&mut self, ending: Ending) {
        self.is_closed = true;
        let gateway = &self.place.gateway;
        let record = &mut self.record;
        (record.outcome, record.side) = (ending.outcome, ending.side);
        ending.detail.clone_into(&mut record.detail);
        record.response_sha256 = HEXLOWER.encode(&self.response.clone().finalize());
        record.duration_us = micros(self.came_at.elapsed());
        if ending.side == CallSide::Upstream {
            gateway.accounts.failed(self.body);
        }
        let price = self.price;
        let cost = |usage| price.map(|price| usage::cost(usage, price));
        record.cost_micro_usd = record.usage.and_then(cost);
        // An upstream that refused has not worked, nor has one that was never asked; one that does not say what it did
        // is set against the budget all the same, else leaving out the usage would be a way around it.
        let has_worked = match record.status {
            Some(status) => status < 300,
            None => !matches!(ending.outcome, CallOutcome::Unreachable | CallOutcome::NotConfigured),
        };
        let (spent, its_cost) = match record.usage {
            None if has_worked => {
                let estimate = usage::estimate(record.request_bytes, record.response_bytes);
                (estimate, cost(estimate))
            }
            usage => (usage.unwrap_or_default(), record.cost_micro_usd),
        };
        let tokens = spent.input.saturating_add(spent.output);
        let is_over = gateway.accounts.spend(tokens, its_cost.unwrap_or(0), self.reservation);
        if is_over && ending.outcome == CallOutcome::Completed {
            (record.outcome, record.side) = (CallOutcome::BudgetExhausted, CallSide::Gateway);
            "this call went beyond the budget".clone_into(&mut record.detail);
        }
        gateway.record(Record::Call(record.clone()));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        let outcome = CallOutcome::EngineGone;
        self.write(match self.place.gateway.is_stopping() {
            true => Ending::of_gateway(outcome, "the run ended before the response did"),
            false => Ending {
                outcome,
                side: CallSide::Engine,
                detail: "the engine closed its connection before the response ended",
            },
        });
    }
}

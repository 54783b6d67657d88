//! Passes an event stream on while it is judged, and breaks the connection off where it may not go on.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::call::{Call, Ending};
use crate::decode::{DecodeFault, Decoder, Encoding};
use crate::order::GatewayLimits;
use crate::record::CallOutcome;
use crate::stream::{Admitted, Fault, Judge};
use crate::wire::Wire;

/// As much as is gathered before it is passed on: what one write takes.
const PIECE_BYTES: usize = 64 << 10;

/// The stream was broken off; the reason is in the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the response was broken off")
    }
}

impl std::error::Error for BrokenOff {}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::of_upstream(fault.outcome(), fault.detail())
    }
}

impl From<DecodeFault> for Ending {
    fn from(fault: DecodeFault) -> Self {
        match fault {
            DecodeFault::TooLarge => Fault::TooLarge.into(),
            DecodeFault::Lies => Fault::Malformed("a compression that is not what the header says").into(),
        }
    }
}

/// The body of a response that is an event stream.
#[derive(Debug)]
pub(crate) struct Relay {
    upstream: Incoming,
    decoder: Decoder,
    judge: Judge,
    /// Gone when the record is written.
    call: Option<Call>,
    wire: Arc<Wire>,
    /// A piece that was waited for before the head of the response went out.
    first: Option<Bytes>,
    is_over: bool,
    /// The upstream's connection had its turn after the last frame and brought no other.
    had_turn: bool,
    left_bytes: u64,
    clock: Clock,
}

/// When patience ends.
#[derive(Debug)]
struct Clock {
    timer: Pin<Box<Sleep>>,
    until: Instant,
    has_come: bool,
    /// Something went on since the last wait.
    has_passed: bool,
    idle: Duration,
    progress: Duration,
    /// The last event with data.
    event_at: Instant,
    events: u64,
}

impl Clock {
    /// Something went on since the last wait.
    fn passed(&mut self, events: u64) {
        let now = Instant::now();
        if events > self.events {
            (self.events, self.event_at) = (events, now);
        }
        // Keep-alives show that somebody is there, not that anything goes on.
        self.until = (now + self.idle).min(self.event_at + self.progress);
        // A timer that is early is set again when it has run out: most of them never are.
        if self.until < self.timer.deadline() {
            self.timer.as_mut().reset(self.until);
        }
    }

    /// Waits for the end of patience.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            if self.timer.deadline() >= self.until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.until);
        }
        Poll::Pending
    }
}

impl Relay {
    pub(crate) fn new(
        upstream: Incoming,
        encoding: Encoding,
        admitted: &Admitted<'_>,
        limits: &GatewayLimits,
        (call, wire): (Call, Arc<Wire>),
    ) -> Result<Self, Ending> {
        let first_byte = Duration::from_millis(limits.first_byte_ms);
        let idle = Duration::from_millis(limits.idle_ms);
        let sent_at = Instant::from_std(call.sent_at());
        Ok(Self {
            upstream,
            decoder: Decoder::new(encoding, limits.response_bytes)?,
            judge: Judge::new(admitted, limits.event_bytes),
            call: Some(call),
            wire,
            first: None,
            is_over: false,
            had_turn: false,
            left_bytes: limits.response_bytes,
            clock: Clock {
                timer: Box::pin(sleep_until(sent_at + first_byte)),
                until: sent_at + first_byte,
                has_come: false,
                has_passed: false,
                idle,
                progress: first_byte.max(idle),
                event_at: Instant::now(),
                events: 0,
            },
        })
    }

    /// Waits for the first piece that may go on, so that a response that fails before it can be an error in words.
    pub(crate) async fn prime(&mut self) -> Result<(), Ending> {
        match std::future::poll_fn(|context| self.poll_piece(context)).await {
            None => Ok(()),
            Some(Ok(piece)) => {
                self.first = Some(piece);
                Ok(())
            }
            Some(Err(ending)) => Err(ending),
        }
    }

    /// The next piece that may go on: all events that were found good in what the upstream has sent by now.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Ending>>> {
        loop {
            let is_enough = self.is_over || self.judge.ready_bytes() >= PIECE_BYTES;
            if let Some(piece) = is_enough.then(|| self.judge.take()).flatten() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.is_over {
                self.close();
                return Poll::Ready(None);
            }
            let frame = Pin::new(&mut self.upstream).poll_frame(context);
            if frame.is_pending() && self.judge.has_ready() {
                // One chunk after the other is handed over, each when the task that reads the connection has its turn.
                // What that task has read already goes on together, and nothing is waited for.
                if std::mem::replace(&mut self.had_turn, true) {
                    self.had_turn = false;
                    return Poll::Ready(self.judge.take().map(Ok));
                }
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.had_turn = false;
            if frame.is_pending() && std::mem::take(&mut self.clock.has_passed) {
                self.clock.passed(self.judge.events());
            }
            let step = match frame {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => self.came(piece),
                    Err(_) => Ok(()),
                },
                Poll::Ready(Some(Err(_))) => Err(Fault::Cut.into()),
                Poll::Ready(None) => self.end(),
                Poll::Pending => match self.clock.poll_end(context) {
                    Poll::Pending => return Poll::Pending,
                    // Some servers keep the connection open after the last event.
                    Poll::Ready(()) if self.judge.is_ended() => self.end(),
                    Poll::Ready(()) => Err(self.late()),
                },
            };
            if let Err(ending) = step {
                self.is_over = true;
                self.saw();
                if let Some(call) = self.call.take() {
                    call.close(ending);
                }
                return Poll::Ready(Some(Err(ending)));
            }
        }
    }

    fn late(&self) -> Ending {
        match self.clock.has_come {
            true => Ending::of_upstream(CallOutcome::IdleTimeout, "no whole event came in time"),
            false => Ending::of_upstream(CallOutcome::FirstByteTimeout, "no byte of the response came in time"),
        }
    }

    fn came(&mut self, piece: Bytes) -> Result<(), Ending> {
        let length = piece.len() as u64;
        self.left_bytes = self.left_bytes.checked_sub(length).ok_or(Fault::TooLarge)?;
        if !self.clock.has_come {
            (self.clock.has_come, self.clock.has_passed) = (true, true);
        }
        let decoded = self.decoder.feed(piece)?;
        self.judged(&decoded)
    }

    fn judged(&mut self, piece: &[u8]) -> Result<(), Ending> {
        if let Some(call) = &mut self.call {
            call.came(piece);
        }
        self.judge.feed(piece)?;
        self.clock.has_passed |= self.judge.has_ready();
        Ok(())
    }

    fn end(&mut self) -> Result<(), Ending> {
        let rest = self.decoder.end()?;
        self.judged(&rest)?;
        self.judge.end()?;
        self.is_over = true;
        Ok(())
    }

    fn saw(&mut self) {
        if let Some(call) = &mut self.call {
            call.saw(self.judge.seen());
        }
    }

    /// The last event was passed on.
    fn close(&mut self) {
        self.saw();
        if let Some(call) = self.call.take() {
            call.close(self.judge.ending());
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        this.poll_piece(context).map(|piece| {
            piece.map(|piece| match piece {
                Ok(piece) => Ok(Frame::data(piece)),
                Err(_) => {
                    this.wire.reset();
                    Err(BrokenOff)
                }
            })
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Clients hang up as soon as they have read the last event.
        if self.judge.is_ended() && !self.judge.has_ready() && self.first.is_none() {
            self.close();
        } else {
            self.saw();
        }
    }
}

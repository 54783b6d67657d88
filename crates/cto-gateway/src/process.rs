//! The harness's side of a gateway: starts it, reads its records, ends it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::child::GRACE;
use crate::control::{self, GATEWAY_ARGUMENT};
use crate::credential::COMMAND_PATIENCE;
use crate::order::{GatewayOrder, Preflight};
use crate::record::Record;

/// No record is longer.
const MOST_LINE_BYTES: usize = 64 << 10;
/// What a gateway gets beyond what its order asks for, to start and to end.
const SPARE: Duration = Duration::from_secs(10);

/// Why the harness does not know what a gateway did.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The program did not start.
    #[error("start the gateway")]
    Start(#[source] io::Error),
    /// The order did not arrive.
    #[error("give the gateway its order")]
    Order(#[source] io::Error),
    /// The record stream could not be read.
    #[error("read the gateway's records")]
    Read(#[source] io::Error),
    /// A line that is no record.
    #[error("understand a record of the gateway: {0}")]
    Record(String),
    /// The gateway ended without saying that it has stopped.
    #[error("keep the gateway: it ended early ({ended})")]
    Lost {
        /// How it ended.
        ended: String,
        /// What it had said before.
        records: Vec<Record>,
    },
    /// The gateway did not say in time that it serves, or that it has stopped.
    #[error("hear from the gateway within {patience_ms} ms")]
    Silent {
        /// How long it had.
        patience_ms: u128,
        /// What it had said before.
        records: Vec<Record>,
    },
}

/// A running gateway; dropping it kills it.
#[derive(Debug)]
pub struct GatewayProcess {
    child: Child,
    control: UnixStream,
    stdout: OwnedFd,
    /// What is read at once.
    buffer: Box<[u8]>,
    /// Bytes of a line that has not ended.
    line: Vec<u8>,
    records: Vec<Record>,
    is_closed: bool,
    is_over: bool,
}

impl GatewayProcess {
    /// Starts `program __gateway`, gives it order, listener and environment, and waits until it serves or says why it
    /// cannot; that record is the first that [`Self::take`] gives.
    pub fn start(
        program: &Path,
        order: &GatewayOrder,
        listener: OwnedFd,
        environment: Vec<(OsString, OsString)>,
    ) -> Result<Self, GatewayError> {
        let mut gateway = Self::spawn(program, environment)?;
        let sent = control::send(&mut gateway.control, order, &listener);
        drop(listener);
        let patience = patience(order);
        if let Err(error) = sent {
            // A gateway that ended by itself says more than the broken socket does.
            let ended = gateway.wait_for(Instant::now() + SPARE, |gateway| gateway.is_over);
            return Err(match ended {
                Ok(true) => gateway.lost(),
                _ => GatewayError::Order(error),
            });
        }
        let deadline = Instant::now() + patience;
        if !gateway.wait_for(deadline, |gateway| !gateway.records.is_empty() || gateway.is_over)? {
            return Err(gateway.silent(patience));
        }
        match gateway.records.first() {
            Some(Record::Ready | Record::Unavailable { .. }) => Ok(gateway),
            Some(other) => Err(GatewayError::Record(format!("{other:?} before the gateway serves"))),
            None => Err(gateway.lost()),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the gateway is a process of its own, and this is where it starts"
    )]
    fn spawn(program: &Path, environment: Vec<(OsString, OsString)>) -> Result<Self, GatewayError> {
        let (control, theirs) = UnixStream::pair().map_err(GatewayError::Start)?;
        control.set_write_timeout(Some(SPARE)).map_err(GatewayError::Start)?;
        let mut child = Command::new(program)
            .arg(GATEWAY_ARGUMENT)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The terminal's interrupt is the harness's to answer; the gateway ends when the harness says so.
            .process_group(0)
            .spawn()
            .map_err(GatewayError::Start)?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stdout = stdout.ok_or_else(|| GatewayError::Start(io::ErrorKind::BrokenPipe.into()))?;
        rustix::io::ioctl_fionbio(&stdout, true).map_err(|errno| GatewayError::Start(errno.into()))?;
        Ok(Self {
            child,
            control,
            stdout,
            buffer: vec![0; MOST_LINE_BYTES].into(),
            line: Vec::new(),
            records: Vec::new(),
            is_closed: false,
            is_over: false,
        })
    }

    /// What becomes readable when there may be records.
    pub fn records(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    /// The gateway's process, for accounting.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The records that have come since the last time, without waiting. An end without [`Record::Closed`] is an error,
    /// once everything that was said before it has been taken.
    pub fn take(&mut self) -> Result<Vec<Record>, GatewayError> {
        self.read()?;
        if self.records.is_empty() && self.is_over && !self.is_closed {
            return Err(self.lost());
        }
        Ok(std::mem::take(&mut self.records))
    }

    /// Asks the gateway to stop, waits until it has, and gives the rest of its records.
    pub fn finish(mut self) -> Result<Vec<Record>, GatewayError> {
        // An error means that the gateway is gone; the records say how far it came.
        drop(self.control.write_all(control::STOP));
        let patience = GRACE + SPARE;
        if !self.wait_for(Instant::now() + patience, |gateway| gateway.is_over)? {
            return Err(self.silent(patience));
        }
        match self.is_closed {
            true => Ok(std::mem::take(&mut self.records)),
            false => Err(self.lost()),
        }
    }

    fn lost(&mut self) -> GatewayError {
        let ended = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        GatewayError::Lost {
            ended,
            records: std::mem::take(&mut self.records),
        }
    }

    fn silent(&mut self, patience: Duration) -> GatewayError {
        GatewayError::Silent {
            patience_ms: patience.as_millis(),
            records: std::mem::take(&mut self.records),
        }
    }

    /// Reads until a condition holds; false after the deadline.
    fn wait_for(&mut self, deadline: Instant, holds: impl Fn(&Self) -> bool) -> Result<bool, GatewayError> {
        loop {
            self.read()?;
            if holds(self) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = Timespec::try_from(left).map_err(|error| GatewayError::Read(io::Error::other(error)))?;
            match poll(&mut [PollFd::new(&self.stdout, PollFlags::IN)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(GatewayError::Read(errno.into())),
            }
        }
    }

    /// Takes in what there is.
    fn read(&mut self) -> Result<(), GatewayError> {
        while !self.is_over {
            match rustix::io::read(&self.stdout, &mut self.buffer[..]) {
                Ok(0) => self.end()?,
                Ok(read) => self.split(read)?,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(GatewayError::Read(errno.into())),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), GatewayError> {
        self.is_over = true;
        match self.line.is_empty() || !self.is_closed {
            // A line that broke off is part of an early end.
            true => Ok(()),
            false => Err(GatewayError::Record("more after the last record".to_owned())),
        }
    }

    /// Takes in what was read into the buffer.
    fn split(&mut self, read: usize) -> Result<(), GatewayError> {
        for piece in self.buffer[..read].split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > MOST_LINE_BYTES {
                return Err(GatewayError::Record("a line that is too long".to_owned()));
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let record = parse(&std::mem::take(&mut self.line), self.is_closed)?;
                // Nothing comes after it is said that there is nothing to serve, either.
                self.is_closed |= matches!(record, Record::Closed | Record::Unavailable { .. });
                self.records.push(record);
            }
        }
        Ok(())
    }
}

fn parse(line: &[u8], is_closed: bool) -> Result<Record, GatewayError> {
    if is_closed {
        return Err(GatewayError::Record("more after the last record".to_owned()));
    }
    serde_json::from_slice(line).map_err(|error| GatewayError::Record(error.to_string()))
}

fn patience(order: &GatewayOrder) -> Duration {
    let credentials = COMMAND_PATIENCE * u32::try_from(order.routes.len()).unwrap_or(u32::MAX);
    let asked = match order.preflight {
        Preflight::None => Duration::ZERO,
        Preflight::Local => Duration::from_millis(
            order
                .limits
                .connect_ms
                .saturating_add(order.limits.first_byte_ms)
                .saturating_mul(3),
        ),
    };
    credentials.saturating_add(asked).saturating_add(SPARE)
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is reaped.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

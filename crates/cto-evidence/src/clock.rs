//! The run's clock: wall time for people, boot time for order.

use std::io::{self, Read as _};

use jiff::Timestamp;
use rustix::time::{ClockId, Timespec};

/// A failure to read what identifies this boot.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The kernel's boot id could not be read.
    #[error("read the boot id from {BOOT_ID}; is /proc mounted?")]
    BootId {
        /// The system's error.
        source: io::Error,
    },
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The clock of one run. Offsets count on `CLOCK_BOOTTIME`, which neither steps nor stops in suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunClock {
    started_at: Timestamp,
    start_boottime_ns: u64,
    // Offsets are `anchor_mono_ns + (now - anchor_boottime_ns)`: after a reboot the boot-time clock starts
    // again, and the anchor carries the offset over.
    anchor_at: Timestamp,
    anchor_boottime_ns: u64,
    anchor_mono_ns: u64,
}

impl RunClock {
    /// Starts a clock now.
    pub fn start() -> Self {
        let (started_at, start_boottime_ns) = (wall_now(), boottime_now_ns());
        Self {
            started_at,
            start_boottime_ns,
            anchor_at: started_at,
            anchor_boottime_ns: start_boottime_ns,
            anchor_mono_ns: 0,
        }
    }

    /// Continues the clock of an interrupted run. In the same boot offsets go on as if nothing happened. After a
    /// reboot they go on from `last_mono_ns`, the last offset on record: the time that the machine was off is not
    /// known to any monotonic clock.
    pub fn resume(started_at: Timestamp, start_boottime_ns: u64, same_boot: bool, last_mono_ns: u64) -> Self {
        let now = boottime_now_ns();
        if same_boot && now >= start_boottime_ns {
            return Self {
                started_at,
                start_boottime_ns,
                anchor_at: started_at,
                anchor_boottime_ns: start_boottime_ns,
                anchor_mono_ns: 0,
            };
        }
        Self {
            started_at,
            start_boottime_ns,
            anchor_at: wall_now(),
            anchor_boottime_ns: now,
            anchor_mono_ns: last_mono_ns,
        }
    }

    /// Returns when the run started, on the wall clock.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Returns the run's start as RFC 3339 UTC with microseconds.
    pub fn started_ts(&self) -> String {
        rfc3339(self.started_at)
    }

    /// Returns `CLOCK_BOOTTIME` at the run's start, in nanoseconds.
    pub fn start_boottime_ns(&self) -> u64 {
        self.start_boottime_ns
    }

    /// Returns the wall clock as RFC 3339 UTC with microseconds; for display only.
    pub fn ts(&self) -> String {
        rfc3339(wall_now())
    }

    /// Returns nanoseconds since the run's start.
    pub fn mono_ns(&self) -> u64 {
        self.anchor_mono_ns
            .saturating_add(boottime_now_ns().saturating_sub(self.anchor_boottime_ns))
    }

    /// Returns how far the wall clock stepped against the boot-time clock since the start, in milliseconds.
    /// Below 2 ms it is 0: the two clocks cannot be read at the same instant.
    pub fn step_ms(&self) -> i64 {
        let boottime = i128::from(boottime_now_ns()) - i128::from(self.anchor_boottime_ns);
        let wall = wall_now().as_nanosecond() - self.anchor_at.as_nanosecond();
        let step = i64::try_from((wall - boottime) / 1_000_000).unwrap_or(i64::MAX);
        if step.abs() < 2 { 0 } else { step }
    }
}

/// Returns a time as RFC 3339 UTC with microseconds and `Z`.
pub fn rfc3339(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Returns the wall clock.
pub fn wall_now() -> Timestamp {
    let now = rustix::time::clock_gettime(ClockId::Realtime);
    let nanosecond = i32::try_from(now.tv_nsec).unwrap_or(0);
    // The kernel keeps the wall clock between 1970 and 2232, inside jiff's range.
    Timestamp::new(now.tv_sec, nanosecond).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn boottime_now_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Boottime))
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Returns the kernel's id of this boot, which tells a reboot from a crash.
pub fn boot_id() -> Result<String, ClockError> {
    let mut text = String::new();
    let read = std::fs::File::open(BOOT_ID).and_then(|file| file.take(64).read_to_string(&mut text));
    read.map_err(|source| ClockError::BootId { source })?;
    Ok(text.trim_end().to_owned())
}

/// Returns a time in the form that documents use; `None` when the text is no RFC 3339 time.
pub fn canonical_time(text: &str) -> Option<String> {
    text.parse::<Timestamp>().ok().map(rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_end_in_z() {
        let at: Timestamp = "2026-11-20T09:00:00.1Z".parse().unwrap();
        assert_eq!(rfc3339(at), "2026-11-20T09:00:00.100000Z");
        assert_eq!(
            rfc3339("2026-11-20T09:00:00Z".parse().unwrap()),
            "2026-11-20T09:00:00.000000Z"
        );
    }

    #[test]
    fn offsets_never_go_back_also_over_a_reboot() {
        let clock = RunClock::start();
        let before = clock.mono_ns();
        let same = RunClock::resume(clock.started_at(), clock.start_boottime_ns(), true, before);
        assert!(same.mono_ns() >= before);
        assert_eq!(same.step_ms(), 0);
        let rebooted = RunClock::resume(clock.started_at(), u64::MAX, false, 5_000_000_000);
        assert!(rebooted.mono_ns() >= 5_000_000_000);
        assert_eq!(rebooted.started_ts(), clock.started_ts());
    }
}

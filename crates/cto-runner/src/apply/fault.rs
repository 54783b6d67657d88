//! Where an apply can be cut off: tests kill, fail or interfere at these points, and nothing happens elsewhere.

use std::io;

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "the test half fails")]
pub(super) fn point(_name: &'static str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
type Plan = Box<dyn FnMut(&'static str, u32) -> io::Result<()>>;

#[cfg(test)]
thread_local! {
    static PLAN: std::cell::RefCell<Option<Plan>> = const { std::cell::RefCell::new(None) };
    static SEEN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Sets what happens at the points of this thread; it is told a point's name and number, from 0.
#[cfg(test)]
pub(super) fn arm(plan: Option<Plan>) {
    PLAN.set(plan);
    SEEN.set(0);
}

/// Returns how many points this thread passed since [`arm`].
#[cfg(test)]
pub(super) fn seen() -> u32 {
    SEEN.get()
}

#[cfg(test)]
pub(super) fn point(name: &'static str) -> io::Result<()> {
    let number = SEEN.replace(SEEN.get() + 1);
    // Taken out meanwhile: what it does may pass points itself.
    let Some(mut plan) = PLAN.take() else { return Ok(()) };
    let result = plan(name, number);
    PLAN.set(Some(plan));
    result
}

//! Claims about applying, on real repositories with a real git.

mod bench;
mod happy;

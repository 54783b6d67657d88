//! Claims about applying, on real repositories with a real git.

mod bench;
mod child;
mod happy;
mod kill;

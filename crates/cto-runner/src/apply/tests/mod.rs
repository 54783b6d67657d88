//! Claims about applying, on real repositories with a real git.

mod bench;
mod child;
mod commits;
mod faults;
mod happy;
mod kill;
mod order;
mod places;
mod property;
mod races;
mod refusals;
mod reverts;

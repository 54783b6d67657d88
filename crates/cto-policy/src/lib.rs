//! Decisions of `cto` as pure functions over recorded facts.

//! Planning workspaces: documents in, findings out.
#![expect(dead_code, reason = "grows")]

mod drift;
mod markdown;
mod page;
mod tree;

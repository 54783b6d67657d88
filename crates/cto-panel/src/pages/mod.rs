//! The pages, one file each.

mod approvals;
mod checked;
mod compare;
mod content;
mod events;
mod failures;
mod help;
mod ladder;
mod lanes;
mod live;
mod other;
mod overview;
mod run;
mod runs;
mod timeline;

use hyper::StatusCode;

pub(crate) use approvals::approvals;
pub(crate) use compare::compare;
pub(crate) use failures::failures;
pub(crate) use help::help;
pub(crate) use ladder::ladder;
pub(crate) use lanes::lanes;
pub(crate) use live::live;
pub(crate) use other::{health, login, matrix, planning, problem, promotion};
pub(crate) use overview::overview;
pub(crate) use run::{run, tab};
pub(crate) use runs::runs;

use crate::answer::Answer;

/// Draws a template with another status than success.
fn with_status(status: StatusCode, template: &impl askama::Template) -> Answer {
    Answer::page(status, template.render().unwrap_or_default())
}

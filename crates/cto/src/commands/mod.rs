//! Commands: each reads its arguments, calls one thing, and prints.

mod admission;
mod admit;
mod approvals;
mod audit;
mod cases;
mod compare;
mod completions;
mod config;
mod decide;
mod deps;
mod dev;
mod doctor;
mod engine;
mod engines;
mod export;
mod fixtures;
mod gc;
mod guard;
mod health;
mod import;
mod key;
mod ladder;
mod matrix;
mod outcome;
mod packet;
mod recover;
mod refresh;
mod run;
mod runs;
mod serve;
mod show;
mod status;
mod summary;
mod verify;
mod watch;
mod workspace;

use crate::cli::{Cli, Command};
use crate::error::CommandError;
use crate::output::{Exit, Output};

/// Runs the command that was asked for.
pub(crate) fn dispatch(cli: &Cli, output: &Output) -> Result<Exit, CommandError> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => run::run(global, args, output),
        Command::Matrix(args) => matrix::matrix(global, args, output),
        Command::Request(args) => approvals::request(global, args, output),
        Command::Approve(args) => approvals::approve(global, args, output),
        Command::Deny(args) => approvals::deny(global, args, output),
        Command::Health => health::health(global, output),
        Command::Ladder { engine } => ladder::ladder(global, engine.as_deref(), output),
        Command::Stage { action } => ladder::stage(global, action, output),
        Command::Compare(args) => compare::compare(global, args, output),
        Command::Refresh(args) => refresh::refresh(global, args, output),
        Command::Packet { action } => packet::packet(global, action, output),
        Command::Audit => audit::audit(global, output),
        Command::Outcome(args) => outcome::outcome(global, args, output),
        Command::Rollback { run } => outcome::rollback(global, run, output),
        Command::Approvals { packet } => approvals::approvals(global, packet.as_deref(), output),
        Command::Verify(args) => verify::verify(global, args, output),
        Command::Show(args) => show::show(global, args, output),
        Command::Runs(args) => runs::runs(global, args, output),
        Command::Export(args) => export::export(global, args, output),
        Command::Import(args) => import::import(global, args, output),
        Command::Decide(args) => decide::decide(global, args, output),
        Command::Engines { toolchain } => engines::engines(global, toolchain, output),
        Command::Engine { action } => engine::engine(global, action, output),
        Command::Status { engine, toolchain } => status::status(global, engine.as_deref(), toolchain, output),
        Command::Watch(args) => watch::watch(global, args, output),
        Command::Serve(args) => serve::serve(global, args, output),
        Command::Summary(args) => summary::summary(global, args, output),
        Command::Admit { action } => admit::admit(global, action, output),
        Command::Admission { action } => admission::admission(action, output),
        Command::Cases { action } => cases::cases(global, action.as_ref(), output),
        Command::Key { action } => key::key(global, action, output),
        Command::Guard(args) => guard::guard(global, args, output),
        Command::Deps { action } => deps::deps(global, action, output),
        Command::Fixtures { action } => fixtures::fixtures(global, action, output),
        Command::Recover => recover::recover(global, output),
        Command::Gc(args) => gc::gc(global, args, output),
        Command::Doctor => doctor::doctor(global, output),
        Command::Config { action } => config::config(global, action, output),
        Command::Dev { action } => dev::dev(action, output),
        Command::Workspace { action } => workspace::workspace(global, action, output),
        Command::Completions { shell } => Ok(completions::completions(*shell, output)),
        Command::Man { dir } => completions::man(dir, output),
    }
}

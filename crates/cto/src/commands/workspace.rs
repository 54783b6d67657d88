//! `cto workspace`: makes, checks and shows planning workspaces.

use std::collections::BTreeSet;
use std::path::Path;

use cto_evidence::{BundlePlaces, Home, LedgerSnapshot, LedgerView, TrustedKeys, create_workspace};
use cto_runner::{
    Git, LoadedRules, Stop, WorkspaceError, WorkspaceRequest, load_rules, validate_workspace, watch_workspace,
    workspace_board, workspace_template,
};
use cto_schema::{ExitClass, WorkspaceBoard, WorkspaceFinding, WorkspaceRules, WorkspaceValidation};
use serde_json::json;

use super::verify::{ledger_snapshot, trusted_keys};
use crate::cli::Global;
use crate::cli_workspace::{BoardArgs, ValidateArgs, WorkspaceAction};
use crate::error::{CommandError, chain};
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn workspace(global: &Global, action: &WorkspaceAction, output: &Output) -> Result<Exit, CommandError> {
    match action {
        WorkspaceAction::Init { dir } => init(dir, output),
        WorkspaceAction::Validate(args) => validate(global, args, output),
        WorkspaceAction::Board(args) => board(args, output),
        WorkspaceAction::Rules => rules(output),
    }
}

fn init(dir: &Path, output: &Output) -> Result<Exit, CommandError> {
    let files = workspace_template();
    create_workspace(dir, &files).map_err(|error| {
        CommandError::refused(chain(&error))
            .hint("name a directory that does not hold them; cto never overwrites a file")
    })?;
    let shown = shown(dir);
    if output.json() {
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        output.document(&json!({ "dir": shown, "files": names }));
    } else {
        for (name, _) in &files {
            output.print(&format!("  {name}\n"));
        }
        output.print(&format!(
            "made {} files in {shown}\n\nNext:\n  cto workspace validate {shown}\n  cto workspace board {shown}\n",
            files.len()
        ));
    }
    Ok(Exit(ExitClass::Pass))
}

fn rules(output: &Output) -> Result<Exit, CommandError> {
    if output.json() {
        let rules = WorkspaceRules::built_in().map_err(|error| CommandError::failed(&error))?;
        output.document(&rules);
    } else {
        output.print(cto_schema::DEFAULT_WORKSPACE_RULES);
    }
    Ok(Exit(ExitClass::Pass))
}

fn shown(path: &Path) -> String {
    cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400)
}

fn refused(error: &WorkspaceError) -> CommandError {
    let found = CommandError::usage(chain(error));
    match error {
        WorkspaceError::Rules { .. } | WorkspaceError::Glob(_) | WorkspaceError::Read { .. } => {
            found.hint("cto workspace rules prints the built-in rules, with comments")
        }
        WorkspaceError::Tree(_) | WorkspaceError::NoBoard { .. } => {
            found.hint("name the directory of a workspace; cto workspace init DIR makes one")
        }
    }
}

/// What is asked about bundles and commits: the installation, where there is one.
struct Asked {
    home: Option<Home>,
    keys: TrustedKeys,
    ledger: Option<LedgerSnapshot>,
    git: Option<Git>,
}

impl Asked {
    /// Opens what there is; a machine without an installation can check everything but bundles.
    fn open(global: &Global, args: &ValidateArgs) -> Result<Self, CommandError> {
        let (path, _) = installation::home_path(global)?;
        let home = if path.exists() {
            Some(installation::open_home(global)?)
        } else {
            None
        };
        let (keys, ledger) = match &home {
            Some(home) => (
                trusted_keys(home, &args.key)?,
                ledger_snapshot(home, args.key.is_empty())?,
            ),
            None if args.key.is_empty() => (TrustedKeys::new(vec![]), None),
            None => (super::verify::named_keys(&args.key)?, None),
        };
        let settings = home
            .as_ref()
            .map(|home| installation::read_settings(global, home))
            .transpose()?;
        let git = match settings.and_then(|(settings, _)| settings.git) {
            Some(program) => Some(Git::at(program)),
            None => Git::find().ok(),
        };
        Ok(Self {
            home,
            keys,
            ledger,
            git,
        })
    }
}

fn validate(global: &Global, args: &ValidateArgs, output: &Output) -> Result<Exit, CommandError> {
    if args.watch && output.json() {
        return Err(
            CommandError::usage("--watch prints again and again, and --json is one document")
                .hint("leave one of them out"),
        );
    }
    if args.watch {
        return watch(global, args, output);
    }
    let asked = Asked::open(global, args)?;
    let progress = Progress::new(!output.json());
    progress.set("checking", &shown(&args.dir));
    let result = once(args, &asked);
    progress.finish();
    let result = result?;
    if output.json() {
        output.document(&result);
    } else {
        print(&result, output);
    }
    Ok(Exit(if result.ok { ExitClass::Pass } else { ExitClass::Fail }))
}

fn once(args: &ValidateArgs, asked: &Asked) -> Result<WorkspaceValidation, CommandError> {
    let rules: LoadedRules = load_rules(&args.dir, args.rules.as_deref()).map_err(|error| refused(&error))?;
    let runs = asked.home.as_ref().map(Home::runs);
    let places = BundlePlaces {
        workspace: &args.dir,
        runs: runs.as_deref(),
        keys: &asked.keys,
        ledger: asked.ledger.as_ref().map(|ledger| ledger as &(dyn LedgerView + Sync)),
    };
    let request = WorkspaceRequest {
        path: &args.dir,
        rules: &rules,
        strict: args.strict,
        run_validators: args.run_validators,
        git: asked.git.as_ref(),
        places,
    };
    validate_workspace(&request).map_err(|error| refused(&error))
}

fn line(finding: &WorkspaceFinding, mark: &str, output: &Output) {
    let place = finding
        .line
        .map_or_else(|| finding.file.clone(), |line| format!("{}:{line}", finding.file));
    output.print(&format!(
        "{mark} {place}  {}\n    {}\n    → {}\n",
        output.paint("2", finding.rule.id()),
        finding.message,
        finding.mend
    ));
}

fn print(result: &WorkspaceValidation, output: &Output) {
    for finding in &result.errors {
        line(finding, &output.paint("31", "✘ error"), output);
    }
    for finding in &result.warnings {
        line(finding, &output.paint("33", "▲ warning"), output);
    }
    output.print(&summary(result, output));
    if result.rules.source != "built-in" {
        output.note(&format!("rules: {}", result.rules.source));
    }
    if !result.rules.lowered.is_empty() {
        let lowered: Vec<&str> = result.rules.lowered.iter().map(|rule| rule.id()).collect();
        output.note(&format!("lowered by these rules: {}", lowered.join(", ")));
    }
}

fn summary(result: &WorkspaceValidation, output: &Output) -> String {
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let head = if result.ok {
        output.paint("32", "✔ ok")
    } else {
        output.paint("31", "✘ not ok")
    };
    let counts = &result.counts;
    format!(
        "{head}  {}, {}; checked {} files: {} documents, {} entries, {} issues, {} records, {} references, {} commits, {} bundles, {} claims\n",
        counted(result.errors.len(), "error"),
        counted(result.warnings.len(), "warning"),
        result.checked,
        counts.documents,
        counts.work,
        counts.issues,
        counts.records,
        counts.references,
        counts.commits,
        counts.bundles,
        counts.claims
    )
}

fn watch(global: &Global, args: &ValidateArgs, output: &Output) -> Result<Exit, CommandError> {
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let mut before: Option<BTreeSet<WorkspaceFinding>> = None;
    let mut ok = false;
    let watched = watch_workspace(&args.dir, &stop, || {
        match Asked::open(global, args).and_then(|asked| once(args, &asked)) {
            Err(error) => {
                ok = false;
                output.fail(&error);
            }
            Ok(result) => {
                ok = result.ok;
                let now: BTreeSet<WorkspaceFinding> = result.errors.iter().chain(&result.warnings).cloned().collect();
                match &before {
                    None => {
                        print(&result, output);
                        output.note("watching; Ctrl-C ends it");
                    }
                    Some(before) if *before == now => {}
                    Some(before) => {
                        changes(before, &now, output);
                        output.print(&summary(&result, output));
                    }
                }
                before = Some(now);
            }
        }
    });
    watched.map_err(|error| CommandError::failed(&error))?;
    Ok(Exit(if ok { ExitClass::Pass } else { ExitClass::Fail }))
}

fn changes(before: &BTreeSet<WorkspaceFinding>, now: &BTreeSet<WorkspaceFinding>, output: &Output) {
    for finding in before.difference(now) {
        let place = finding
            .line
            .map_or_else(|| finding.file.clone(), |line| format!("{}:{line}", finding.file));
        let mark = output.paint("32", "✔ gone");
        output.print(&format!("{mark} {place}  {}\n", finding.rule.id()));
    }
    for finding in now.difference(before) {
        line(finding, &output.paint("31", "✘ new"), output);
    }
}

fn board(args: &BoardArgs, output: &Output) -> Result<Exit, CommandError> {
    let loaded = load_rules(&args.dir, args.rules.as_deref()).map_err(|error| refused(&error))?;
    let (board, found) = workspace_board(&args.dir, &loaded).map_err(|error| refused(&error))?;
    if output.json() {
        output.document(&board);
    } else if args.mermaid {
        output.print(&cto_runner::mermaid(&board));
    } else if args.dot {
        output.print(&cto_runner::dot(&board));
    } else {
        table(&board, output);
    }
    let errors = found
        .iter()
        .filter(|finding| loaded.rules.is_error(finding.rule, false) == Some(true));
    let mut ok = true;
    for finding in errors {
        ok = false;
        let place = finding
            .line
            .map_or_else(|| finding.file.clone(), |line| format!("{}:{line}", finding.file));
        output.note(&format!("✘ {place}  {}: {}", finding.rule.id(), finding.message));
    }
    if !ok {
        output.note("hint: cto workspace validate says how to mend the workboard");
    }
    Ok(Exit(if ok { ExitClass::Pass } else { ExitClass::Fail }))
}

fn table(board: &WorkspaceBoard, output: &Output) {
    let wide = |take: &dyn Fn(&cto_schema::BoardEntry) -> &str, name: &str, most: usize| {
        let widths = board.entries.iter().map(|entry| take(entry).chars().count());
        widths.chain([name.len()]).max().unwrap_or(0).min(most)
    };
    let id = wide(&|entry| &entry.id, "ID", 24);
    let status = wide(&|entry| &entry.status, "STATUS", 12);
    let title = wide(&|entry| &entry.title, "TITLE", 60);
    output.print(&format!(
        "{:<id$}  {:<4}  {:<status$}  {:<title$}  BLOCKED BY\n",
        "ID", "TYPE", "STATUS", "TITLE"
    ));
    for entry in &board.entries {
        let mut blockers = entry.blocked_by.clone();
        blockers.extend(entry.human_gates.iter().map(|gate| format!("“{gate}”")));
        let cut: String = if entry.title.chars().count() > title {
            entry.title.chars().take(title.saturating_sub(1)).chain(['…']).collect()
        } else {
            entry.title.clone()
        };
        let row = format!(
            "{:<id$}  {:<4}  {:<status$}  {cut:<title$}  {}",
            entry.id,
            entry.kind,
            entry.status,
            blockers.join(", ")
        );
        output.print(&format!("{}\n", row.trim_end()));
    }
    let listed = |ids: &[String]| {
        if ids.is_empty() {
            "nothing".to_owned()
        } else {
            ids.join(", ")
        }
    };
    output.print(&format!("\nNext: {}\n", listed(&board.next)));
    if !board.waiting_for_people.is_empty() {
        output.print(&format!(
            "Waiting for a person: {}\n",
            listed(&board.waiting_for_people)
        ));
    }
    for cycle in &board.cycles {
        output.print(&format!("✘ A circle: {}\n", cycle.join(" → ")));
    }
}

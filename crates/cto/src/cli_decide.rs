//! The command line of stage 6 and what follows it: comparing, refreshing, deciding, auditing.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "The result is a sealed document: cto verify checks it again with every bundle that it names. Eligible is \
said only after cto outcome COMPARISON accept; nothing makes an engine the default.\n\nExit codes: 0 the proof holds and \
waits for the operator · 1 it does not hold.\n\nExamples:\n  cto compare --candidate case --against fake,codex,pi\n  \
cto compare --candidate pi --play-missing\n  cto outcome COMPARISON accept --reason \"read the comparison\""
)]
pub(crate) struct CompareArgs {
    /// The engine that may become eligible as default.
    #[arg(long, value_name = "ENGINE", default_value = "case")]
    pub(crate) candidate: String,
    /// The lanes [default: fake, codex and pi, without the candidate].
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    pub(crate) against: Vec<String>,
    /// A row of the failure matrix that cannot be shown here, with the reason; it stands in the document.
    #[arg(long, value_name = "ROW=RATIONALE", value_parser = parse_row)]
    pub(crate) blocked_row: Vec<(String, String)>,
    /// First play what is missing on record and needs no human: rows of the failure matrix, lanes whose gates are open.
    #[arg(long)]
    pub(crate) play_missing: bool,
}

/// Reads `ROW=RATIONALE`.
fn parse_row(text: &str) -> Result<(String, String), String> {
    let (row, why) = text
        .split_once('=')
        .ok_or("write ROW=RATIONALE; cto fixtures list has the rows")?;
    if cto_runner::find_row(row).is_none() {
        return Err(format!("there is no row '{row}'; cto fixtures list has the rows"));
    }
    if why.trim().len() < 10 {
        return Err("say in a sentence why the row cannot be shown".to_owned());
    }
    if cto_schema::looks_like_a_secret(why).is_some() {
        return Err("the rationale looks like a secret, and it would stand in a document".to_owned());
    }
    Ok((row.to_owned(), cto_schema::escape(why.trim().as_bytes(), 400)))
}

#[derive(Debug, Args)]
#[command(
    after_help = "A pin states a run, and what is expected of it: RUN[,case=TASK][,commit=SHA][,file=PATH]… What it leaves \
out, the operator's signatures state: the approved packet names the case, the accepted outcome the commit and the patch.\n\n\
Nothing is run, and no repository is written. The result is a sealed document, also when it is refused.\n\n\
Exit codes: 0 pass · 1 fail: something is wrong · 3 blocked: something is missing.\n\nExamples:\n  \
cto refresh --pin RUN --pin RUN\n  cto refresh --pin RUN,case=TIDY-1,file=strings.py --pin RUN --prose closeout.md"
)]
pub(crate) struct RefreshArgs {
    /// An accepted run on an owned repository; name at least two.
    #[arg(long, value_name = "RUN[,…]", required = true, value_parser = parse_pin)]
    pub(crate) pin: Vec<PinArgument>,
    /// The candidate [default: the engine of the first pin].
    #[arg(long, value_name = "ENGINE")]
    pub(crate) candidate: Option<String>,
    /// The comparison that the runs are held against [default: the newest accepted one of the candidate].
    #[arg(long, value_name = "COMPARISON")]
    pub(crate) comparison: Option<String>,
    /// A text that says where approvals come from; where the proofs say otherwise, the document says so.
    #[arg(long, value_name = "FILE")]
    pub(crate) prose: Option<PathBuf>,
}

/// A pin as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PinArgument {
    pub(crate) run: String,
    pub(crate) case_id: Option<String>,
    pub(crate) target_commit: Option<String>,
    pub(crate) changed_files: Vec<String>,
}

/// Reads `RUN[,case=TASK][,commit=SHA][,file=PATH]…`.
fn parse_pin(text: &str) -> Result<PinArgument, String> {
    let mut parts = text.split(',');
    let mut pin = PinArgument {
        run: parts.next().unwrap_or_default().to_owned(),
        ..PinArgument::default()
    };
    if pin.run.is_empty() {
        return Err("a pin starts with a run: RUN[,case=TASK][,commit=SHA][,file=PATH]…".to_owned());
    }
    for part in parts {
        match part.split_once('=') {
            Some(("case", value)) if pin.case_id.is_none() && !value.is_empty() => pin.case_id = Some(value.to_owned()),
            Some(("commit", value)) if pin.target_commit.is_none() && !value.is_empty() => {
                pin.target_commit = Some(value.to_owned());
            }
            Some(("file", value)) if !value.is_empty() => pin.changed_files.push(value.to_owned()),
            _ => {
                let shown = cto_schema::escape(part.as_bytes(), 80);
                return Err(format!(
                    "'{shown}' is none of case=TASK, commit=SHA, file=PATH, each once but file"
                ));
            }
        }
    }
    Ok(pin)
}

#[derive(Debug, Subcommand)]
pub(crate) enum PacketAction {
    /// Make a Core Promotion Decision Packet from a comparison and a refresh that verify.
    ///
    /// It recommends and decides nothing: Core's own route, and its guard, come after it. A fact that its evidence does
    /// not carry cannot be written.
    Create(PacketCreateArgs),
    /// Show a packet, and check it with everything that it rests on.
    Show {
        /// The packet [default: the newest].
        packet: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cto packet create\n  cto packet create --decision core-promotion-requested --resolver \"Core's owner\""
)]
pub(crate) struct PacketCreateArgs {
    /// The refresh [default: the newest].
    #[arg(long, value_name = "REFRESH")]
    pub(crate) refresh: Option<String>,
    /// The comparison [default: the one that the refresh names].
    #[arg(long, value_name = "COMPARISON")]
    pub(crate) comparison: Option<String>,
    /// Who decides.
    #[arg(long, value_name = "NAME", default_value = "the owner of Core")]
    pub(crate) resolver: String,
    /// What was decided so far; a request needs evidence that carries it.
    #[arg(long, value_enum, default_value_t = DecisionChoice::NotDecided, value_name = "DECISION")]
    pub(crate) decision: DecisionChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecisionChoice {
    NotDecided,
    CorePromotionRequested,
    CorePromotionDeferred,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pins_and_refuses_what_it_does_not_know() {
        let pin = parse_pin("last,case=T-1,commit=abc,file=a.py,file=b=c.py").unwrap();
        assert_eq!((pin.run.as_str(), pin.case_id.as_deref()), ("last", Some("T-1")));
        assert_eq!(pin.changed_files, ["a.py", "b=c.py"]);
        for bad in [
            "",
            ",case=x",
            "r,case=",
            "r,case=a,case=b",
            "r,commit=a,commit=b",
            "r,tree=x",
            "r,file",
            "r,",
        ] {
            assert!(parse_pin(bad).is_err(), "{bad}");
        }
        assert!(parse_row("no-diff=this machine has no disk").is_ok());
        for bad in [
            "no-diff",
            "no-diff=",
            "no-diff=short",
            "unknown=a long enough reason",
            "no-diff=token=abcdefgh12345678",
        ] {
            assert!(parse_row(bad).is_err(), "{bad}");
        }
    }
}

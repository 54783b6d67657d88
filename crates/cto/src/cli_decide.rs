//! The command line of stage 6 and what follows it: comparing, refreshing, deciding, auditing.

use clap::Args;

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

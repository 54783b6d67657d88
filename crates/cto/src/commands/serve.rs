//! `cto serve`: the read-only panel, and the writer that computes what it shows.

use std::io::Read as _;
use std::path::Path;

use cto_panel::{PanelError, PanelOptions, Prepared, RowOfFailures, Served, Writer, serve as serve_panel};
use cto_runner::{Harness, ROWS, Stop, believed_operators, stage_needs, summarise};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::cli_panel::ServeArgs;
use crate::error::{CommandError, chain};
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn serve(global: &Global, args: &ServeArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    harness
        .engines
        .find(&args.candidate)
        .map_err(|error| CommandError::usage(chain(&error)).hint("cto engines lists the engines"))?;
    if !args.listen.ip().is_loopback() && !args.behind_proxy {
        let text = format!("failed to serve on {}: other machines reach it", args.listen);
        return Err(CommandError::usage(text)
            .hint("give --behind-proxy and --secret-file, and a proxy that asks who is there")
            .hint("or keep it on 127.0.0.1 and reach it through ssh -L 17877:127.0.0.1:17877"));
    }
    let options = PanelOptions {
        listen: args.listen,
        login: !args.no_login,
        secret: args.secret_file.as_deref().map(secret).transpose()?,
        hosts: args.host.clone(),
        evidence_content: args.evidence_content,
        home: harness.home.root().to_owned(),
    };
    let writer = Box::new(Facts {
        candidate: args.candidate.clone(),
        harness,
    });
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let told = |said: &Served| tell(said, output);
    serve_panel(options, writer, &|| stop.asked(), &told).map_err(|error| match error {
        PanelError::Options(_) => CommandError::usage(chain(&error)),
        PanelError::Listen { .. } => CommandError::failed(&error).hint("--listen 127.0.0.1:0 takes a free port"),
        PanelError::Home(_) | PanelError::Serve(_) => CommandError::failed(&error),
    })?;
    Ok(Exit(ExitClass::Pass))
}

fn tell(said: &Served, output: &Output) {
    match said {
        Served::Listening { address, link } if output.json() => {
            output.document(&json!({ "address": address.to_string(), "link": link }));
        }
        Served::Listening { link, .. } => {
            output.note("The panel shows; it can start, approve and sign nothing. Stop it with Ctrl-C.");
            output.print(&format!("{link}\n"));
            if link.contains("/login?") {
                output.note("The link works once, for 60 seconds; who comes late gets a new one here.");
            }
        }
        Served::Link(link) => output.note(&format!("a new link: {link}")),
    }
}

/// Reads the secret of a proxy; a file that others can read holds none.
fn secret(path: &Path) -> Result<String, CommandError> {
    use std::os::unix::fs::MetadataExt as _;
    let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
    let unread = |error: std::io::Error| CommandError::refused(format!("failed to read {shown}: {error}"));
    let file = std::fs::File::open(path).map_err(unread)?;
    let meta = file.metadata().map_err(unread)?;
    if !meta.is_file() || meta.mode() & 0o077 != 0 {
        let text = format!("failed to use {shown}: others may read it, or it is no file");
        return Err(CommandError::refused(text).hint(format!("chmod 600 {shown}")));
    }
    let mut text = String::new();
    file.take(1024).read_to_string(&mut text).map_err(unread)?;
    Ok(text.trim_end().to_owned())
}

/// Computes what the panel shows from the whole installation, which the panel itself cannot.
struct Facts {
    harness: Harness,
    candidate: String,
}

impl Writer for Facts {
    fn prepare(&self, seq: u32) -> Result<Prepared, String> {
        let summary = summarise(&self.harness, &self.candidate, seq).map_err(|error| chain(&error))?;
        let failures = ROWS.iter().map(|row| RowOfFailures {
            row: row.name.to_owned(),
            trigger: row.trigger.to_owned(),
            blocker: row.blocker.name(),
            event: row.event.to_string(),
            status: row.status.word().to_owned(),
            mend: cto_evidence::mend(row.blocker).to_owned(),
        });
        Ok(Prepared {
            summary,
            failures: failures.collect(),
            signers: believed_operators(&self.harness),
            needs: (1..=6).map(stage_needs).collect(),
        })
    }
}

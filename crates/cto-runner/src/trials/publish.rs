//! Where a matrix report goes: a sealed document of the installation, and copies where a person asked for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cto_evidence::{
    DocumentDraft, DocumentName, DrawnMatrix, Keys, MatrixDir, MatrixView, SealedDocument, check_new_file,
    check_report_place, draw_matrix, inspect_log, runs_reference, write_new_file, write_report,
};
use cto_schema::{DocumentKind, Matrix, Sha256Digest};

use super::TrialsError;
use crate::request::Harness;

/// The way from a sealed report to the runs: both lie in the same home.
const RUNS: &str = "../../runs";

/// Seals a report among the installation's documents: `matrix.json`, its twins, and the plan.
pub fn seal_matrix(harness: &Harness, dir: &MatrixDir, matrix: &Matrix) -> Result<SealedDocument, TrialsError> {
    let signer = Keys::open(&harness.home)?.ensure_signing_key()?;
    let name = DocumentName::fresh(DocumentKind::Matrix).map_err(TrialsError::Random)?;
    let DrawnMatrix { markdown, files } = draw_matrix(MatrixView { matrix, runs: RUNS })?;
    let plan = dir.plan().canonical();
    let mut more: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    more.push(("plan.json", &plan));
    let named = matrix
        .cells
        .iter()
        .filter_map(|cell| Some((cell.run_id.as_ref()?.to_string(), cell.manifest_digest?)));
    let rests_on: BTreeMap<String, Sha256Digest> = named.collect();
    let draft = DocumentDraft {
        name: &name,
        document: matrix,
        markdown: &markdown,
        more: &more,
        rests_on,
    };
    Ok(SealedDocument::seal(&harness.home, &signer, &draft)?)
}

/// Writes a report into an empty directory, with links that lead from there to the bundles. It is not sealed.
pub fn write_matrix(harness: &Harness, matrix: &Matrix, out: &Path) -> Result<(), TrialsError> {
    check_report_place(out)?;
    let real = std::fs::canonicalize(out).map_err(TrialsError::Express)?;
    let runs = runs_reference(&real, &harness.home.runs());
    let drawn = draw_matrix(MatrixView { matrix, runs: &runs })?;
    let mut document = serde_json::to_vec_pretty(matrix).map_err(|error| TrialsError::Express(error.into()))?;
    document.push(b'\n');
    let mut files: Vec<(&str, &[u8])> = vec![("matrix.json", &document), ("matrix.md", drawn.markdown.as_bytes())];
    files.extend(
        drawn
            .files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    );
    Ok(write_report(out, &files)?)
}

/// Whether one Inspect log is asked for, or a directory with one for each engine.
fn is_one_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "eval")
}

/// Finds out, before any cell is started, whether the copies that are asked for can be written afterwards.
pub fn check_places(out: Option<&Path>, inspect: Option<&Path>) -> Result<(), TrialsError> {
    if let Some(out) = out {
        check_report_place(out)?;
    }
    match inspect {
        Some(path) if is_one_log(path) => check_new_file(path)?,
        Some(path) => check_report_place(path)?,
        None => {}
    }
    if out.is_some() && out == inspect {
        return Err(TrialsError::Plan {
            what: "--out and --inspect name the same directory; give each its own".to_owned(),
        });
    }
    Ok(())
}

/// Writes Inspect's logs: one file for all engines when the name ends in `.eval`, else a directory with one for each
/// engine that was tried. Returns the files.
pub fn write_inspect(harness: &Harness, matrix: &Matrix, path: &Path) -> Result<Vec<PathBuf>, TrialsError> {
    let one = is_one_log(path);
    let place = if one {
        path.parent().unwrap_or(Path::new(""))
    } else {
        path
    };
    if !one {
        check_report_place(path)?;
    }
    let place = if place.as_os_str().is_empty() {
        Path::new(".")
    } else {
        place
    };
    let real = std::fs::canonicalize(place).map_err(TrialsError::Express)?;
    let runs = runs_reference(&real, &harness.home.runs());
    let view = MatrixView { matrix, runs: &runs };
    if one {
        write_new_file(path, &inspect_log(view, None)?)?;
        return Ok(vec![path.to_owned()]);
    }
    // The names are as Inspect makes them: time, task, id.
    let time: String = matrix.created_at.chars().take(19).collect::<String>().replace(':', "-");
    let tried = matrix.engine_rows.iter().filter(|row| row.counts.judged() > 0);
    let logs = tried
        .map(|row| {
            let word: String = row
                .engine
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect();
            Ok((
                format!("{time}-00-00_cto-matrix_{word}.eval"),
                inspect_log(view, Some(&row.engine))?,
            ))
        })
        .collect::<Result<Vec<(String, Vec<u8>)>, TrialsError>>()?;
    let files: Vec<(&str, &[u8])> = logs
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    write_report(path, &files)?;
    Ok(logs.iter().map(|(name, _)| path.join(name)).collect())
}

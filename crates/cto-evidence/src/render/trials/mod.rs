//! The report of a matrix for people and for other tools: Markdown, HTML, JUnit XML, and Inspect's log format.
//!
//! Every text of a run is untrusted: it goes through `cto_schema::escape` and then through the quoting of the format.

mod html;
mod inspect;
mod junit;
mod link;
mod markdown;
mod plot;
#[cfg(test)]
mod tests;
mod words;

use cto_schema::{Matrix, MatrixCell};

pub use inspect::{InspectError, inspect_log};
pub use link::runs_reference;
pub use words::percent;

/// A matrix report as it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct MatrixView<'a> {
    /// The report.
    pub matrix: &'a Matrix,
    /// The way from the directory of the drawn report to the one that holds the runs, as a relative reference of a URL
    /// without a slash at its end, for example `../../runs`.
    pub runs: &'a str,
}

impl MatrixView<'_> {
    /// Returns the reference to the report in a cell's bundle; `None` when there is no bundle.
    fn link(&self, cell: &MatrixCell) -> Option<String> {
        let run_id = cell.run_id.as_ref()?;
        Some(format!("{}/{run_id}/report.html", self.runs))
    }
}

/// Why a report could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The page's template.
    #[error("draw the matrix report as HTML")]
    Html(#[from] askama::Error),
    /// The XML.
    #[error("express the matrix report as JUnit XML")]
    Junit(#[from] quick_junit::SerializeError),
}

/// A matrix report, drawn.
#[derive(Clone, Debug)]
pub struct DrawnMatrix {
    /// `matrix.md`.
    pub markdown: String,
    /// Every other file by name: `matrix.html`, `matrix.junit.xml`, and pages of cells when there are many.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Draws a matrix report in every format. The same view always gives the same bytes.
pub fn draw_matrix(view: MatrixView<'_>) -> Result<DrawnMatrix, DrawError> {
    let mut files: Vec<(String, Vec<u8>)> = html::pages(view)?
        .into_iter()
        .map(|(name, page)| (name, page.into_bytes()))
        .collect();
    files.push(("matrix.junit.xml".to_owned(), junit::junit(view)?.into_bytes()));
    Ok(DrawnMatrix {
        markdown: markdown::markdown(view),
        files,
    })
}

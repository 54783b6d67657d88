//! Reading one file: what is wrong with it by itself, and what it says that only the whole workspace or the world can tell.

use std::collections::BTreeSet;

use cto_schema::{DocumentClass, FieldKind, PageKind, RuleId, WorkspaceFinding, WorkspaceRules};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::claims::{self, PageClaims};
use super::criteria::{Criterion, read_criteria};
use super::drift::{Drift, drifted};
use super::front::check_front;
use super::issues::{Issue, check_issues, read_issues};
use super::markdown::read_page;
use super::notes::{Notes, shown};
use super::page::{FrontMatter, Page};
use super::phrases::check_phrases;
use super::records::check_data;
use super::references::{self, CommitReference, FileReference};
use super::secrets::check_values;
use super::structure::{check_headings, check_html, check_tables, check_terms};
use super::workboard::{Work, read_workboard, unknown_keys};

/// Why rules could not be used.
#[derive(Debug, thiserror::Error)]
#[error("use the glob '{glob}': {reason}")]
pub struct PlanningError {
    /// The glob.
    pub glob: String,
    /// Why.
    pub reason: String,
}

/// Rules, ready to be applied.
#[derive(Debug)]
pub struct Planner {
    pub(super) rules: WorkspaceRules,
    ignore: GlobSet,
    classes: Vec<GlobSet>,
    drift: Drift,
    now_seconds: i64,
}

/// What one file came to.
#[derive(Clone, Debug, Default)]
pub struct FileReading {
    pub(super) path: String,
    pub(super) findings: Vec<WorkspaceFinding>,
    pub(super) is_document: bool,
    pub(super) is_record: bool,
    pub(super) is_prd: bool,
    pub(super) holds_issues: bool,
    pub(super) issues: Vec<Issue>,
    pub(super) criteria: Vec<Criterion>,
    pub(super) references: Vec<FileReference>,
    /// The references that may name a PRD.
    pub(super) sources: Vec<String>,
    pub(super) commits: Vec<CommitReference>,
    pub(super) claims: PageClaims,
    pub(super) anchors: BTreeSet<String>,
    pub(super) work: Option<Vec<Work>>,
}

fn globs(texts: &[String]) -> Result<GlobSet, PlanningError> {
    let mut set = GlobSetBuilder::new();
    let refuse = |glob: &str, error: &globset::Error| PlanningError {
        glob: glob.to_owned(),
        reason: error.to_string(),
    };
    for text in texts {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        set.add(glob.map_err(|error| refuse(text, &error))?);
    }
    set.build().map_err(|error| refuse("", &error))
}

impl Planner {
    /// Makes rules ready; `now_seconds` is the wall clock, in seconds since 1970.
    pub fn new(rules: WorkspaceRules, now_seconds: i64) -> Result<Self, PlanningError> {
        Ok(Self {
            ignore: globs(&rules.ignore)?,
            classes: rules
                .classes
                .iter()
                .map(|class| globs(&class.paths))
                .collect::<Result<_, _>>()?,
            drift: Drift::new(&rules.drift),
            rules,
            now_seconds,
        })
    }

    /// Returns the rules.
    pub fn rules(&self) -> &WorkspaceRules {
        &self.rules
    }

    /// Returns whether a path, relative to the workspace, is left out.
    pub fn ignores(&self, path: &str) -> bool {
        self.ignore.is_match(path)
    }

    fn class(&self, path: &str) -> Option<&DocumentClass> {
        let index = self.classes.iter().position(|globs| globs.is_match(path))?;
        self.rules.classes.get(index)
    }

    /// Reads one file. `secrets` are the lines on which the rules of the redactor hit, with the rule's name.
    pub fn read(&self, path: &str, bytes: &[u8], secrets: &[(u32, String)]) -> FileReading {
        let mut notes = Notes::new(path);
        let mut reading = FileReading {
            path: path.to_owned(),
            ..FileReading::default()
        };
        let extension = path
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension)
            .to_ascii_lowercase();
        let is_text = matches!(extension.as_str(), "md" | "markdown" | "yaml" | "yml" | "json");
        let marked = bytes.strip_prefix("\u{feff}".as_bytes());
        let bytes = marked.unwrap_or(bytes);
        if marked.is_some() && is_text {
            let message = "the file starts with a byte order mark";
            notes.add(RuleId::ByteOrderMark, 1, message, "save it as UTF-8 without one");
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                check_values(text, secrets, &self.rules.allowed_hosts, &mut notes);
                self.read_text(path, &extension, text, &mut reading, &mut notes);
            }
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                if is_text {
                    let message = "the file is not UTF-8; the first byte that is not stands on this line";
                    notes.add(RuleId::FileNotUtf8, line, message, "save it as UTF-8");
                }
                check_values("", secrets, &[], &mut notes);
            }
        }
        reading.findings = notes.into_findings();
        reading
    }

    fn read_text(&self, path: &str, extension: &str, text: &str, reading: &mut FileReading, notes: &mut Notes) {
        let class = self.class(path);
        let kind = class.map_or(PageKind::Document, |class| class.kind);
        // Records refuse them with a reason of their own.
        if text.contains('\r')
            && kind != PageKind::Record
            && matches!(extension, "md" | "markdown" | "yaml" | "yml" | "json")
        {
            let split = text.split('\n').position(|line| line.contains('\r')).unwrap_or(0);
            let line = u32::try_from(split + 1).unwrap_or(u32::MAX);
            notes.add(
                RuleId::CarriageReturn,
                line,
                "lines end with carriage returns",
                "save it with line feeds alone; in git: a .gitattributes with '* text=auto eol=lf'",
            );
        }
        if path == self.rules.workboard.file {
            let board = &self.rules.workboard;
            reading.work = Some(read_workboard(text, board, notes));
            for (name, line) in unknown_keys(text, board) {
                notes.add(
                    RuleId::WorkboardUnknownField,
                    line,
                    format!("no rule knows the key '{}'", shown(&name)),
                    "remove it, or add it to workboard.lists in the rules file if it holds entries",
                );
            }
        } else if matches!(extension, "md" | "markdown") {
            reading.is_document = true;
            let page = read_page(text);
            self.read_document(path, &page, class, reading, notes);
        } else {
            reading.is_record = check_data(kind, extension, text.as_bytes(), self.now_seconds, notes);
        }
    }

    fn read_document(
        &self,
        path: &str,
        page: &Page,
        class: Option<&DocumentClass>,
        reading: &mut FileReading,
        notes: &mut Notes,
    ) {
        check_tables(page, notes);
        check_html(page, notes);
        for found in drifted(page, &self.drift) {
            notes.add(
                RuleId::AuthorityDrift,
                found.line,
                format!("the sentence claims authority: {}", shown(&found.sentence)),
                "say what is so: a candidate, not the default, not promoted; or quote it if somebody else says it",
            );
        }
        reading.references = references::linked(page, path, notes);
        reading.sources = reading
            .references
            .iter()
            .flat_map(|found| found.candidates.clone())
            .collect();
        reading.commits = references::commits(page);
        reading.claims = claims::read_claims(page);
        reading.anchors = references::anchors(page);
        let Some(class) = class else { return };
        if class.front_matter {
            check_front(page, &self.rules.front_matter, self.now_seconds, notes);
            self.front_references(path, page, reading, notes);
        }
        check_phrases(page, class, &self.rules.notice, notes);
        check_headings(page, class, notes);
        check_terms(page, class, notes);
        match class.kind {
            PageKind::Prd => {
                reading.is_prd = true;
                reading.criteria = read_criteria(page, &self.rules.plan);
            }
            PageKind::Issues => {
                reading.holds_issues = true;
                reading.issues = read_issues(page, class, &self.rules);
                check_issues(&reading.issues, class, &self.rules, notes);
            }
            PageKind::Document | PageKind::Record | PageKind::Contract => {}
        }
    }

    /// Fields whose value is a path.
    fn front_references(&self, path: &str, page: &Page, reading: &mut FileReading, notes: &mut Notes) {
        let FrontMatter::Fields(fields) = &page.front else {
            return;
        };
        let paths = self
            .rules
            .front_matter
            .fields
            .iter()
            .filter(|field| field.kind == FieldKind::Path);
        let names: Vec<&String> = paths.flat_map(|field| &field.names).collect();
        for (_, node) in fields.iter().filter(|(name, _)| names.contains(&name)) {
            for (text, line) in node.texts().into_iter().filter(|(text, _)| references::is_path(text)) {
                if let Some(found) = references::resolve(text, path, true, line, notes) {
                    reading.sources.extend(found.candidates.clone());
                    reading.references.push(found);
                }
            }
        }
    }
}

//! Every rule that a planning workspace is held against: its id, its level, and what it means.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, de};
use strum::VariantArray as _;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleLevel {
    /// An error that no rules file can lower: something could not be looked at.
    Fixed,
    /// An error.
    Error,
    /// A warning, and an error under `--strict`.
    WarningUnlessStrict,
    /// A warning.
    Warning,
}

impl RuleLevel {
    /// Returns the words of the reference.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fixed => "error, always",
            Self::Error => "error",
            Self::WarningUnlessStrict => "warning; error with `--strict`",
            Self::Warning => "warning",
        }
    }
}

macro_rules! rules {
    ($($variant:ident $id:literal $level:ident $means:literal $why:literal;)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray)]
        pub enum RuleId {
            $(#[doc = $means] $variant,)*
        }

        impl RuleId {
            /// Returns the id, as findings and rules files write it.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// Returns the level that holds when no rules file says otherwise.
            pub fn level(self) -> RuleLevel {
                match self { $(Self::$variant => RuleLevel::$level,)* }
            }

            /// Returns what is found.
            pub fn means(self) -> &'static str {
                match self { $(Self::$variant => $means,)* }
            }

            /// Returns why it matters, or what exactly is looked at.
            pub fn why(self) -> &'static str {
                match self { $(Self::$variant => $why,)* }
            }
        }
    };
}

rules! {
    FileUnreadable "file-unreadable" Fixed "A file or directory could not be read." "What was not read was not checked.";
    FileTooLarge "file-too-large" Fixed "A file is larger than `limits.file_bytes`." "It is not read at all.";
    FileNotUtf8 "file-not-utf8" Fixed "A Markdown, YAML or JSON file is not UTF-8." "Readers would not agree on what it says.";
    NameNotPlain "name-not-plain" Fixed "A name is not UTF-8, or holds control or invisible characters." "It could not be named in a finding or a reference without doubt.";
    LinkNotFollowed "link-not-followed" Fixed "A symbolic link lies in the workspace." "Links are never followed: what they lead to was not checked, and they can form loops.";
    FileSpecial "file-special" Fixed "A FIFO, socket or device lies in the workspace." "It is not opened.";
    TreeTooLarge "tree-too-large" Fixed "The workspace has more files, bytes or levels than `limits` allows." "The rest was not looked at.";
    ByteOrderMark "byte-order-mark" Warning "A file starts with a byte order mark." "Some readers take it for text.";
    CarriageReturn "carriage-return" Warning "Lines end with carriage returns." "Digests and diffs differ between machines; the rules are applied all the same.";
    RawHtml "raw-html" Warning "Markdown holds raw HTML other than comments." "The rules do not read it.";
    RequiredFile "required-file" Error "A file of `required_files` is missing." "Every workspace has them.";
    FrontMatterMissing "front-matter-missing" Error "A document has no YAML front matter on its first line." "It says who owns the document and what it is not.";
    FrontMatterInvalid "front-matter-invalid" Error "Front matter is not a YAML mapping with unique keys." "Nothing in it can be relied on.";
    FrontMatterMissingField "front-matter-missing-field" Error "A required field of front matter is missing or empty." "See `front_matter.fields`.";
    FrontMatterValue "front-matter-value" Error "A field of front matter has a value that is not allowed." "Above all: `core_promotion_status` is never anything but `not-promoted`.";
    FrontMatterDate "front-matter-date" Error "A date of front matter is none, lies in the future, or the review comes before the creation." "Dates are `2026-05-31`.";
    FrontMatterUnknownField "front-matter-unknown-field" Warning "Front matter has a field that no rule knows." "A slip would otherwise pass for a missing optional field.";
    ReviewStale "review-stale" Warning "`last_reviewed` is older than `front_matter.review_days`." "A plan that nobody looks at drifts.";
    PhraseMissing "phrase-missing" Error "A required phrase of the document's class is missing." "Looked for in prose and block quotes, not in code blocks; line breaks count as spaces.";
    PhraseForbidden "phrase-forbidden" Error "A forbidden phrase of the document's class occurs." "Looked for in front matter and prose, not in code blocks or block quotes.";
    HeadingMissing "heading-missing" Error "A required heading is missing." "See `headings` of the class.";
    SectionEmpty "section-empty" Error "A required section holds nothing." "An empty section is a promise that was not kept.";
    HeadingRepeated "heading-repeated" WarningUnlessStrict "A required heading, a field of an issue, or an issue occurs twice." "It is then unclear which one counts.";
    TableIncomplete "table-incomplete" Error "A table is half finished: a row with too few or too many cells, no row, or no line of dashes below its header." "Markdown pads and cuts such rows silently.";
    IssueFieldMissing "issue-field-missing" Error "An issue lacks a required field, or it is empty." "See `issue_fields` of the class; a field is a heading below the issue's, or a line `Name: value`.";
    IssueFieldValue "issue-field-value" Error "The type or status of an issue is none of the allowed." "See `workboard.types` and `workboard.statuses`.";
    IssueMissing "issue-missing" Error "A document of issues holds no heading of an issue." "A heading is `CTO-WORK-001 - Title` or `CTO-WORK-001: Title`, also after `Issue:`.";
    IssueNotOnBoard "issue-not-on-board" Error "An issue is not on the workboard." "The board is the one list of work.";
    WorkWithoutIssue "work-without-issue" Warning "An entry of the workboard has no issue." "Nothing says what to build and how it is accepted.";
    StatusDisagrees "status-disagrees" WarningUnlessStrict "An issue's status or type is not the workboard's." "One of them is out of date.";
    BlockersDisagree "blockers-disagree" WarningUnlessStrict "An issue names other blockers than the workboard." "One of them is out of date.";
    AcceptanceUnticked "acceptance-unticked" WarningUnlessStrict "An issue is validated, and its acceptance list has an open box or no box." "Validated means that each was seen.";
    IssueWithoutPrd "issue-without-prd" Error "Issues name no PRD of this workspace." "Name it in the front matter's `source`, or link to it.";
    IssueMapsToNothing "issue-maps-to-nothing" Error "An issue names no acceptance criterion of its PRD." "A criterion is named by its id (`AC-1`), or by its whole text where it has none.";
    CriterionUnknown "criterion-unknown" Error "An issue names a criterion that its PRD does not have." "It cannot be shown to be met.";
    CriterionUncovered "criterion-uncovered" Warning "No issue names an acceptance criterion of a PRD that has issues." "Nobody works on it.";
    ContextTerm "context-term" Error "The glossary does not define a term that it must." "A definition is a heading, a table row or an entry that starts with the term, and words after it.";
    WorkboardInvalid "workboard-invalid" Error "The workboard is not YAML, or holds no list of entries." "Nothing on it can be checked.";
    WorkboardMissingField "workboard-missing-field" Error "An entry of the workboard lacks a field." "Each has id, title, type, status, blocked_by and evidence.";
    WorkboardValue "workboard-value" Error "An id, type, status or list on the workboard is not in its form." "See `workboard`.";
    WorkboardUnknownField "workboard-unknown-field" Warning "An entry of the workboard has a field that no rule knows." "A slip would otherwise pass unseen.";
    WorkboardIdRepeated "workboard-id-repeated" Error "Two entries of the workboard have one id." "References to it would be ambiguous.";
    WorkboardBlockerUnknown "workboard-blocker-unknown" Error "An entry is blocked by an id that is not on the workboard." "It could never be unblocked.";
    WorkboardCycle "workboard-cycle" Error "Entries block each other in a circle." "None of them could ever begin.";
    WorkboardBlockerOrder "workboard-blocker-order" WarningUnlessStrict "An entry is validated while something that blocks it is not." "Either the blocker is none, or the validation came too early.";
    WorkboardBlockedByNothing "workboard-blocked-by-nothing" Warning "An entry is blocked, and nothing that is unfinished blocks it." "Say what does, or change the status.";
    WorkboardEvidence "workboard-evidence" Error "An entry is validated without evidence." "Validated rests on something that can be looked at.";
    ReferenceMissing "reference-missing" Error "A referenced file does not exist." "Looked at: Markdown links and images, `source` in front matter, evidence on the workboard.";
    ReferenceAbsolute "reference-absolute" Error "A reference is an absolute path." "It holds on one machine only.";
    AnchorMissing "anchor-missing" Warning "A link leads to a heading that its document does not have." "Anchors are made as on GitHub.";
    CommitUnknown "commit-unknown" Error "A commit that a text names is in none of `repositories`, or is ambiguous." "A commit is named after the word commit, or in a table column of that name.";
    BundleMissing "bundle-missing" Error "An evidence bundle that a text names is not there." "Looked for beside the document, in the workspace, and among the runs of the installation.";
    BundleUnverified "bundle-unverified" Error "An evidence bundle does not verify." "What does not verify proves nothing; bundles inside the workspace are verified whether or not a text names them.";
    ClaimStatus "claim-status" Error "A text claims a report status that the bundle does not have." "The status is recomputed from the bundle.";
    ClaimDigest "claim-digest" Error "A text names a digest that is not of the bundle or of the file that it names." "Digests are those of the bundle's own files.";
    ClaimChangedFiles "claim-changed-files" Error "A text claims changed files that are not the bundle's." "All of them are named, and no other.";
    ClaimWithoutBundle "claim-without-bundle" Error "A text claims a report status or changed files and names no bundle." "The claim rests on the bundle named in its row, section or document.";
    ClaimUnreadable "claim-unreadable" Error "A claimed report status is none that a report can have." "`pass`, `fail`, `blocked`; or `none` where nothing ran.";
    AuthorityDrift "authority-drift" Error "A sentence claims that an engine is the default, is promoted, or is authority, or that a default is activated." "Negations, conditions, questions, quotations, code and block quotes are no claims.";
    SecretValue "secret-value" Error "A value has the shape of a secret." "The class or name of a credential may be written; its value never.";
    EndpointValue "endpoint-value" Error "An address of a model endpoint or of a private machine is written out." "Its class may be written; `allowed_hosts` names exceptions.";
    RecordInvalid "record-invalid" Error "A JSON record cannot be read as an admission or decision." "Read as strictly as a run reads it (`cto admission check`).";
    RecordRefused "record-refused" Error "A record says that it admits, and a run would refuse it." "Expired, contradictory or incomplete records admit nothing.";
    ContractInvalid "contract-invalid" Error "A contract cannot be read." "Read as strictly as a run reads it.";
    JsonInvalid "json-invalid" Error "A JSON file is not strict JSON." "No duplicate keys, no integers beyond 2^53 - 1.";
    YamlInvalid "yaml-invalid" Error "A YAML file cannot be read." "Duplicate keys are errors.";
    ValidatorFailed "validator-failed" Error "An external validator did not exit with 0 in time." "Its last words are in the message.";
    ValidatorNotRun "validator-not-run" Error "An external validator is configured and was not run." "A workspace may come from anybody, so its commands run only with `--run-validators`.";
}

impl RuleId {
    /// Returns every rule, in the order of the reference.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Finds a rule by its id.
    pub fn find(id: &str) -> Option<Self> {
        Self::VARIANTS.iter().find(|rule| rule.id() == id).copied()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for RuleId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::find(&text).ok_or_else(|| {
            let near = crate::nearest::nearest(&text, Self::VARIANTS.iter().map(|rule| rule.id()));
            let shown = crate::untrusted::escape(text.as_bytes(), 80);
            de::Error::custom(match near {
                Some(near) => format!("there is no rule '{shown}' (did you mean '{near}'?)"),
                None => format!("there is no rule '{shown}'; see docs/reference/workspace-rules.md"),
            })
        })
    }
}

impl schemars::JsonSchema for RuleId {
    fn schema_name() -> Cow<'static, str> {
        "RuleId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let ids: Vec<&str> = Self::VARIANTS.iter().map(|rule| rule.id()).collect();
        schemars::json_schema!({ "type": "string", "enum": ids })
    }
}

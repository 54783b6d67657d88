//! The command line of admissions: what records say, as flags.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use cto_schema::RecordKind;

#[derive(Debug, Subcommand)]
pub(crate) enum AdmitAction {
    /// Admit one model of one provider for an engine.
    Model(AdmitModel),
    /// Admit the source of an engine: where it comes from, what is pinned, what its licence permits.
    Source(AdmitSource),
    /// Record the binary of an engine: path, size, digest, and what it says it is.
    Build(AdmitBuild),
    /// Admit one target repository (stage 5).
    Repository(AdmitRepository),
    /// Record the decision for a class of provider.
    Decision(AdmitDecision),
}

/// Options of every `cto admit`.
#[derive(Debug, Args)]
pub(crate) struct AdmitCommon {
    /// The engine that the record is about.
    #[arg(long)]
    pub(crate) engine: String,
    /// Where to write it [default: where a run looks for it; see cto status].
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Write without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Replace the record that is there; the old one is kept in history/ beside it.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdmitModel {
    #[command(flatten)]
    pub(crate) common: AdmitCommon,
    /// The admitted pair.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_pair)]
    pub(crate) model: Pair,
    /// Who admitted it, and where that is written.
    #[arg(long, value_name = "TEXT")]
    pub(crate) approval: String,
    /// A further admitted pair; may be given more than once, in order.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_pair)]
    pub(crate) fallback: Vec<Pair>,
    /// When the admission ends: a date, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// Class of the credential, never the credential [default: as the provider is configured]. A run holds a class of
    /// environment, file, keyring, command or none against the provider's source; other words are recorded.
    #[arg(long, value_name = "CLASS")]
    pub(crate) credential_class: Option<String>,
    /// Class of the network, never an address [default: external-provider or local-provider]. It says local, external
    /// (or hosted, remote), or both; a run holds it against the class of the provider and of each fallback.
    #[arg(long, value_name = "CLASS")]
    pub(crate) network_class: Option<String>,
    /// What makes the admission due for review.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "before provider, model, fallback, credential source or endpoint change, and before a higher stage"
    )]
    pub(crate) review_trigger: String,
    /// What a run must show, for people; may be given more than once.
    #[arg(long, value_name = "TEXT")]
    pub(crate) expect: Vec<String>,
    /// Record that the pair is not admitted.
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdmitSource {
    #[command(flatten)]
    pub(crate) common: AdmitCommon,
    /// Where the source comes from.
    #[arg(long, value_name = "HTTPS")]
    pub(crate) url: String,
    /// git, npm, pypi or archive.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) source_type: String,
    /// Full id of the pinned commit [default: what the build record pins].
    #[arg(long, value_name = "COMMIT", conflicts_with = "tag")]
    pub(crate) commit: Option<String>,
    /// The pinned tag, where there is no commit.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// The branch that was looked at, for information.
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,
    /// Date of the commit or release.
    #[arg(long, value_name = "TIME")]
    pub(crate) commit_date: String,
    /// When it was retrieved [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) retrieved: Option<String>,
    /// How it was retrieved.
    #[arg(long, value_name = "TEXT")]
    pub(crate) retrieval_command: String,
    /// sha256:HEX or an SRI hash [default: the build record's package integrity].
    #[arg(long, value_name = "DIGEST")]
    pub(crate) integrity: Option<String>,
    /// The licence, as an SPDX expression or in words.
    #[arg(long, value_name = "TEXT")]
    pub(crate) licence: Option<String>,
    /// Record that the licence question is not settled.
    #[arg(long)]
    pub(crate) licence_unresolved: bool,
    /// A mutation mode that the licence permits; may be given more than once.
    #[arg(long, value_name = "MODE")]
    pub(crate) permit: Vec<String>,
    /// A mutation mode in which the agent may run; may be given more than once.
    #[arg(long, value_name = "MODE", required = true)]
    pub(crate) mode: Vec<String>,
    /// Which part of the source must not be changed or copied.
    #[arg(long, value_name = "TEXT", default_value = "no run changes or copies the source")]
    pub(crate) boundary: String,
    /// Record that the source is not admitted.
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdmitBuild {
    #[command(flatten)]
    pub(crate) common: AdmitCommon,
    /// Path of the binary, never a bare name [default: the program that a run would start].
    #[arg(long, value_name = "PATH")]
    pub(crate) bin: Option<PathBuf>,
    /// The checkout that it was built from.
    #[arg(long, value_name = "DIR", conflicts_with = "package")]
    pub(crate) source: Option<PathBuf>,
    /// Where the checkout comes from.
    #[arg(long, value_name = "HTTPS", requires = "source")]
    pub(crate) source_url: Option<String>,
    /// Directory of the installed package: node_modules/NAME, or NAME-VERSION.dist-info.
    #[arg(long, value_name = "DIR")]
    pub(crate) package: Option<PathBuf>,
    /// How it was built.
    #[arg(long, value_name = "TEXT")]
    pub(crate) build_command: Option<String>,
    /// Version of a tool, such as bun=1.2.3; may be given more than once.
    #[arg(long, value_name = "NAME=VERSION")]
    pub(crate) tool: Vec<String>,
    /// Text that must occur in the answer to --help [default: what the engine's manifest says].
    #[arg(long, value_name = "TEXT")]
    pub(crate) identity: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AdmitRepository {
    #[command(flatten)]
    pub(crate) common: AdmitCommon,
    /// The repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: PathBuf,
    /// Who owns it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) owner: String,
    /// What shows that.
    #[arg(long, value_name = "TEXT")]
    pub(crate) ownership_evidence: String,
    /// Why it is not critical.
    #[arg(long, value_name = "TEXT")]
    pub(crate) rationale: String,
    /// A relative glob that may change; may be given more than once.
    #[arg(long, value_name = "GLOB", required = true)]
    pub(crate) allow: Vec<String>,
    /// A relative glob that may not change, besides the defaults; may be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub(crate) forbid: Vec<String>,
    /// Who approved it, and where that is written.
    #[arg(long, value_name = "TEXT")]
    pub(crate) approval: String,
    /// What makes the admission due for review.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "before another repository, path, allowed path, forbidden action or risk classification"
    )]
    pub(crate) review_trigger: String,
    /// Record that the repository is not admitted; its path is left out.
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdmitDecision {
    #[command(flatten)]
    pub(crate) common: AdmitCommon,
    /// What was decided.
    #[arg(long, value_enum, value_name = "STATUS")]
    pub(crate) status: DecisionChoice,
    /// Class of the provider.
    #[arg(long, value_enum, value_name = "CLASS")]
    pub(crate) class: Option<ClassChoice>,
    /// The pair that was decided for.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_pair)]
    pub(crate) model: Option<Pair>,
    /// The pair that may stand in.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_pair)]
    pub(crate) fallback: Option<Pair>,
    /// Who decided, and where that is written.
    #[arg(long, value_name = "TEXT")]
    pub(crate) approval: Option<String>,
    /// Class of the credential, never the credential.
    #[arg(long, value_name = "CLASS")]
    pub(crate) credential_class: Option<String>,
    /// Class of the network, never an address; it says local, external (or hosted, remote), or both.
    #[arg(long, value_name = "CLASS")]
    pub(crate) network_class: Option<String>,
    /// What the decision rests on; may be given more than once.
    #[arg(long, value_name = "TEXT")]
    pub(crate) evidence: Vec<String>,
    /// What follows from it, for people.
    #[arg(long, value_name = "TEXT")]
    pub(crate) effect: String,
    /// What makes the decision due for review.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "before provider, model, class or fallback change"
    )]
    pub(crate) review_trigger: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum DecisionChoice {
    NotDecided,
    ExternalProviderApproved,
    LocalProviderRequired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ClassChoice {
    ExternalAnthropic,
    ExternalOpenaiCodex,
    LocalCaseCompatible,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdmissionAction {
    /// Judge one record: exits 0 if it admits, 3 if it does not, 2 if it is of no known kind.
    Check {
        /// The record.
        file: PathBuf,
        /// Its kind [default: told by its fields].
        #[arg(long, value_enum)]
        kind: Option<KindChoice>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindChoice {
    Decision,
    Model,
    Source,
    Build,
    Repository,
}

impl KindChoice {
    pub(crate) fn kind(self) -> RecordKind {
        match self {
            Self::Decision => RecordKind::Decision,
            Self::Model => RecordKind::Model,
            Self::Source => RecordKind::Source,
            Self::Build => RecordKind::Build,
            Self::Repository => RecordKind::Repository,
        }
    }
}

/// A provider and a model as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) provider: String,
    pub(crate) model: String,
}

/// Splits at the first slash: a provider's name has none, a model's may have.
pub(crate) fn parse_pair(text: &str) -> Result<Pair, String> {
    let (provider, model) = text.split_once('/').ok_or("write it as PROVIDER/MODEL")?;
    provider
        .parse::<cto_schema::ProviderName>()
        .map_err(|rule| rule.to_string())?;
    model
        .parse::<cto_schema::ModelName>()
        .map_err(|rule| rule.to_string())?;
    Ok(Pair {
        provider: provider.to_owned(),
        model: model.to_owned(),
    })
}

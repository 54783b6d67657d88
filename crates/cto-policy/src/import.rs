//! Whether a bundle of another installation may be taken in, as a pure function of what was seen of it.

use cto_schema::CLOCK_SKEW_SECONDS;

/// What is here already under the same run id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlreadyHere {
    /// Nothing.
    Nothing,
    /// The same bundle, byte for byte.
    Same,
    /// Another bundle.
    Other,
}

/// What was seen of a bundle.
#[derive(Clone, Debug)]
pub struct ImportFacts<'a> {
    /// Whether it has a manifest and an envelope.
    pub sealed: bool,
    /// Id of the trusted key whose signature holds; `None` when none does.
    pub signer: Option<&'a str>,
    /// The one key that counts, where the operator named one.
    pub wanted_key: Option<&'a str>,
    /// Whether that is a key of this very installation.
    pub signed_here: bool,
    /// Each check that failed: name and what was seen.
    pub failed: Vec<(&'a str, &'a str)>,
    /// Version of the harness that made it; `None` when it does not say.
    pub harness_version: Option<&'a str>,
    /// Version of this harness.
    pub own_version: &'a str,
    /// The latest instant that it speaks of, in seconds since 1970; `None` when that cannot be read.
    pub latest_seconds: Option<i64>,
    /// Now, in seconds since 1970.
    pub now_seconds: i64,
    /// What is here already.
    pub here: AlreadyHere,
}

/// Why a bundle is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportCode {
    /// It has no seal.
    NotSealed,
    /// No trusted key signed it, or not the one that was named.
    UntrustedKey,
    /// A check fails.
    DoesNotVerify,
    /// Another major version of the harness made it.
    OtherHarnessMajor,
    /// It speaks of a time that is not yet.
    FromTheFuture,
    /// This installation signed it; its own runs are where they were made.
    MadeHere,
    /// Another bundle has this run id here.
    OtherBundleOfThisRun,
}

impl ImportCode {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::UntrustedKey => "untrusted_key",
            Self::DoesNotVerify => "does_not_verify",
            Self::OtherHarnessMajor => "other_harness_major",
            Self::FromTheFuture => "from_the_future",
            Self::MadeHere => "made_here",
            Self::OtherBundleOfThisRun => "other_bundle_of_this_run",
        }
    }

    /// Tells whether it is the evidence itself that does not hold.
    pub fn is_about_evidence(self) -> bool {
        match self {
            Self::NotSealed | Self::UntrustedKey | Self::DoesNotVerify => true,
            Self::OtherHarnessMajor | Self::FromTheFuture | Self::MadeHere | Self::OtherBundleOfThisRun => false,
        }
    }
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRefusal {
    /// Which.
    pub code: ImportCode,
    /// What was seen.
    pub detail: String,
}

/// Returns every reason against taking a bundle in; none means yes.
pub fn judge_import(facts: &ImportFacts<'_>) -> Vec<ImportRefusal> {
    let mut refused = Vec::new();
    let mut refuse = |code, detail: String| refused.push(ImportRefusal { code, detail });
    if !facts.sealed {
        refuse(
            ImportCode::NotSealed,
            "SHA256SUMS or attestation.dsse.json is missing: nobody vouches for it".to_owned(),
        );
    }
    let signature = facts.failed.iter().find(|(name, _)| *name == "signature");
    match (facts.signer, facts.wanted_key) {
        (None, _) if facts.sealed => {
            let why = signature.map_or("no trusted key signed it", |(_, detail)| detail);
            refuse(ImportCode::UntrustedKey, why.to_owned());
        }
        (Some(signer), Some(wanted)) if signer != wanted => refuse(
            ImportCode::UntrustedKey,
            format!("it is signed with key {signer}, and {wanted} was asked for"),
        ),
        _ => {}
    }
    if !same_major(facts.harness_version, facts.own_version) {
        let made_by = facts.harness_version.unwrap_or("an unknown version");
        refuse(
            ImportCode::OtherHarnessMajor,
            format!(
                "cto {made_by} made it and this is cto {}: what they prove is not comparable; use that version to read it",
                facts.own_version
            ),
        );
    }
    for (name, detail) in facts.failed.iter().filter(|_| facts.sealed && facts.signer.is_some()) {
        refuse(ImportCode::DoesNotVerify, format!("{name}: {detail}"));
    }
    let latest = facts.now_seconds.saturating_add(CLOCK_SKEW_SECONDS);
    match facts.latest_seconds {
        Some(seconds) if seconds > latest => refuse(
            ImportCode::FromTheFuture,
            format!(
                "it ended {} seconds after now, and {CLOCK_SKEW_SECONDS} are tolerated; set the clocks of both machines",
                seconds.saturating_sub(facts.now_seconds)
            ),
        ),
        None if facts.failed.is_empty() => refuse(
            ImportCode::FromTheFuture,
            "it does not say in a way that can be read when it ended".to_owned(),
        ),
        _ => {}
    }
    if facts.here == AlreadyHere::Other {
        refuse(
            ImportCode::OtherBundleOfThisRun,
            "another bundle with this run id is here; a run has one bundle, so one of the two is not what it says"
                .to_owned(),
        );
    }
    if facts.signed_here && facts.here == AlreadyHere::Nothing {
        refuse(
            ImportCode::MadeHere,
            "this installation signed it: put it back into runs/ from a backup, it is not another's".to_owned(),
        );
    }
    refused
}

fn same_major(one: Option<&str>, other: &str) -> bool {
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    one.is_some_and(|one| major(one) == major(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<'a>() -> ImportFacts<'a> {
        ImportFacts {
            sealed: true,
            signer: Some("aa"),
            wanted_key: None,
            signed_here: false,
            failed: vec![],
            harness_version: Some("0.2.7+abc"),
            own_version: "0.2.0",
            latest_seconds: Some(1_300),
            now_seconds: 1_000,
            here: AlreadyHere::Nothing,
        }
    }

    fn codes(facts: &ImportFacts<'_>) -> Vec<ImportCode> {
        judge_import(facts).into_iter().map(|refused| refused.code).collect()
    }

    #[test]
    fn takes_what_verifies_and_what_is_here_already() {
        assert_eq!(codes(&good()), []);
        let wanted = ImportFacts {
            wanted_key: Some("aa"),
            ..good()
        };
        assert_eq!(codes(&wanted), []);
        for signed_here in [false, true] {
            let same = ImportFacts {
                here: AlreadyHere::Same,
                signed_here,
                ..good()
            };
            assert_eq!(codes(&same), []);
        }
    }

    #[test]
    fn refuses_each_change_of_what_is_taken_with_its_own_code() {
        type Change = fn(&mut ImportFacts<'_>);
        let rows: [(ImportCode, Change); 12] = [
            (ImportCode::NotSealed, |f| (f.sealed, f.signer) = (false, None)),
            (ImportCode::UntrustedKey, |f| f.signer = None),
            (ImportCode::UntrustedKey, |f| {
                (f.signer, f.failed) = (None, vec![("signature", "x"), ("digests", "y")]);
            }),
            (ImportCode::UntrustedKey, |f| f.wanted_key = Some("bb")),
            (ImportCode::DoesNotVerify, |f| f.failed = vec![("digests", "x")]),
            (ImportCode::OtherHarnessMajor, |f| f.harness_version = Some("1.2.0")),
            (ImportCode::OtherHarnessMajor, |f| f.harness_version = Some("")),
            (ImportCode::OtherHarnessMajor, |f| f.harness_version = None),
            (ImportCode::FromTheFuture, |f| f.latest_seconds = Some(1_301)),
            (ImportCode::FromTheFuture, |f| f.latest_seconds = None),
            (ImportCode::MadeHere, |f| f.signed_here = true),
            (ImportCode::OtherBundleOfThisRun, |f| f.here = AlreadyHere::Other),
        ];
        for (code, change) in rows {
            let mut facts = good();
            change(&mut facts);
            assert_eq!(codes(&facts), [code]);
        }
    }
}

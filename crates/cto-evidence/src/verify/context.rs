//! The documents of a bundle, read strictly once for all checks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cto_schema::{
    EligibilityDecision, Enforcement, Envelope, Event, Facts, JournalEvent, JournalRecord, Observations, Report,
    Sha256Digest, Span, Statement, Status, StrictLimits, TaskContract, WriteSet, parse_strict,
    pre_authentication_encoding,
};
use serde::de::DeserializeOwned;

use super::{KnownKey, LedgerView, TrustedKeys};
use crate::approvals::AllowedSigners;
use crate::bundle::Bundle;

/// Longest line of a `.jsonl` document.
const LINE_BYTES: usize = 16 << 20;
/// Largest JSON document.
const DOCUMENT: StrictLimits = StrictLimits { bytes: 64 << 20 };

/// An optional document: absent, unreadable, or read.
type Doc<T> = Option<Result<T, String>>;

/// A document of lines, each with the digest of its bytes.
pub(crate) type Lines<T> = Vec<(T, Sha256Digest)>;

/// Everything that checks look at.
pub(crate) struct Context<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) ledger: Option<&'a dyn LedgerView>,
    keys: &'a TrustedKeys,
    envelope: Doc<Envelope>,
    statement: Doc<Statement>,
    report: Doc<Report>,
    contract: Doc<TaskContract>,
    decision: Doc<EligibilityDecision>,
    write_set: Doc<WriteSet>,
    enforcement: Doc<Enforcement>,
    journal: Doc<Lines<JournalRecord>>,
    events: Doc<Lines<Event>>,
    spans: Doc<Lines<Span>>,
}

impl<'a> Context<'a> {
    pub(crate) fn read(bundle: &'a Bundle, keys: &'a TrustedKeys, ledger: Option<&'a dyn LedgerView>) -> Self {
        let envelope: Doc<Envelope> = json(bundle, "attestation.dsse.json");
        let statement = envelope.as_ref().map(|envelope| {
            let envelope = envelope.as_ref().map_err(Clone::clone)?;
            let payload = payload(envelope)?;
            parse_strict(&payload, DOCUMENT).map_err(|e| format!("the statement: {e}"))
        });
        Self {
            bundle,
            ledger,
            keys,
            envelope,
            statement,
            report: json(bundle, "report.json"),
            contract: json(bundle, "contract.json"),
            decision: json(bundle, "decision.json"),
            write_set: json(bundle, "write-set.json"),
            enforcement: json(bundle, "enforcement.json"),
            journal: lines(bundle, "journal.jsonl"),
            events: lines(bundle, "events.normalized.jsonl"),
            spans: lines(bundle, "trace.jsonl"),
        }
    }

    /// The operators whose word counts; `None` when nobody said who they are.
    pub(crate) fn signers(&self) -> Option<&AllowedSigners> {
        self.keys.signers()
    }

    pub(crate) fn envelope(&self) -> Result<&Envelope, String> {
        must(self.envelope.as_ref(), "attestation.dsse.json")
    }

    pub(crate) fn statement(&self) -> Result<&Statement, String> {
        must(self.statement.as_ref(), "attestation.dsse.json")
    }

    pub(crate) fn report(&self) -> Result<&Report, String> {
        must(self.report.as_ref(), "report.json")
    }

    pub(crate) fn journal(&self) -> Result<&Lines<JournalRecord>, String> {
        must(self.journal.as_ref(), "journal.jsonl")
    }

    pub(crate) fn events(&self) -> Result<&Lines<Event>, String> {
        must(self.events.as_ref(), "events.normalized.jsonl")
    }

    pub(crate) fn contract(&self) -> Result<Option<&TaskContract>, String> {
        may(self.contract.as_ref())
    }

    pub(crate) fn decision(&self) -> Result<Option<&EligibilityDecision>, String> {
        may(self.decision.as_ref())
    }

    /// Returns the write set, unless the report says that none was collected.
    pub(crate) fn write_set(&self) -> Result<Option<&WriteSet>, String> {
        let excused = self.report()?.not_applicable.contains_key("write-set.json");
        Ok(may(self.write_set.as_ref())?.filter(|_| !excused))
    }

    pub(crate) fn enforcement(&self) -> Result<Option<&Enforcement>, String> {
        may(self.enforcement.as_ref())
    }

    pub(crate) fn spans(&self) -> Result<Option<&Lines<Span>>, String> {
        may(self.spans.as_ref())
    }

    /// Returns the observations that the verdict rests on: the last on record.
    pub(crate) fn observations(&self) -> Result<&Observations, String> {
        self.journal_events()?
            .rev()
            .find_map(|event| match event {
                JournalEvent::Observed { observations } => Some(observations.as_ref()),
                _ => None,
            })
            .ok_or_else(|| "journal.jsonl has no record 'observed'".to_owned())
    }

    /// Returns the facts that the gates looked at; `None` when none were gathered.
    pub(crate) fn facts(&self) -> Result<Option<&Facts>, String> {
        Ok(self.journal_events()?.rev().find_map(|event| match event {
            JournalEvent::FactsGathered { facts } => Some(facts.as_ref()),
            _ => None,
        }))
    }

    /// Whether an artifact could not be written, or the run stopped before it, at one that could not, before anything was
    /// decided; which is a blocker of its own and never a pass.
    pub(crate) fn unwritten(&self, name: &str) -> Result<bool, String> {
        let failures = &self.observations()?.artifact_failures;
        let failed = failures.iter().any(|failure| failure.artifact == name);
        let stopped = !failures.is_empty() && self.observations()?.interrupted.is_none() && !self.reached("decided")?;
        Ok((failed || stopped) && !self.bundle.files().contains_key(name))
    }

    /// Whether the verdict is a failure to write evidence, and no engine was started: then what was to be written
    /// afterwards is not there, and nothing rests on it.
    pub(crate) fn stopped_at_a_write(&self) -> Result<bool, String> {
        let (report, seen) = (self.report()?, self.observations()?);
        Ok(report.status == Status::Fail && !report.case_process_started && !seen.artifact_failures.is_empty())
    }

    /// Whether the run got as far as a record of this name.
    pub(crate) fn reached(&self, record: &str) -> Result<bool, String> {
        Ok(self.journal_events()?.any(|event| event.name() == record))
    }

    /// Returns the journal's records without their positions.
    pub(crate) fn journal_events(&self) -> Result<impl DoubleEndedIterator<Item = &JournalEvent>, String> {
        Ok(self.journal()?.iter().map(|(record, _)| &record.event))
    }

    /// Returns the trusted key whose signature over the statement holds.
    pub(crate) fn signer(&self) -> Result<&'a KnownKey, String> {
        signer_of(self.envelope()?, self.keys)
    }
}

/// Returns the trusted key whose one signature over an envelope holds.
pub(crate) fn signer_of<'a>(envelope: &Envelope, keys: &'a TrustedKeys) -> Result<&'a KnownKey, String> {
    let [signature] = envelope.signatures.as_slice() else {
        return Err(format!(
            "there are {} signatures instead of one",
            envelope.signatures.len()
        ));
    };
    let key = keys.find(&signature.keyid).ok_or_else(|| {
        format!(
            "it is signed with key {:.64}, which is not trusted here; get the public key from its owner and run: cto key trust FILE",
            signature.keyid
        )
    })?;
    let bytes = STANDARD
        .decode(&signature.sig)
        .map_err(|_| "the signature is not base64".to_owned())?;
    let bytes: [u8; 64] = bytes
        .try_into()
        .map_err(|_| "the signature does not have 64 bytes".to_owned())?;
    let message = pre_authentication_encoding(&envelope.payload_type, &payload(envelope)?);
    key.key()
        .verify_strict(&message, &ed25519_dalek::Signature::from_bytes(&bytes))
        .map_err(|_| "the signature does not belong to the statement".to_owned())?;
    Ok(key)
}

/// Returns the statement's bytes.
pub(crate) fn payload(envelope: &Envelope) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(&envelope.payload)
        .map_err(|_| "the envelope's payload is not base64".to_owned())
}

fn must<'d, T>(document: Option<&'d Result<T, String>>, name: &str) -> Result<&'d T, String> {
    match document {
        Some(read) => read.as_ref().map_err(Clone::clone),
        None => Err(format!("{name} is missing")),
    }
}

fn may<T>(document: Option<&Result<T, String>>) -> Result<Option<&T>, String> {
    document.map(|read| read.as_ref().map_err(Clone::clone)).transpose()
}

pub(crate) fn json<T: DeserializeOwned>(bundle: &Bundle, name: &str) -> Doc<T> {
    let bytes = bundle.document(name)?;
    Some(parse_strict(bytes, DOCUMENT).map_err(|error| format!("{name}: {error}")))
}

fn lines<T: DeserializeOwned>(bundle: &Bundle, name: &str) -> Doc<Lines<T>> {
    let bytes = bundle.document(name)?;
    Some(parse_lines(bytes).map_err(|(line, error)| format!("{name}, line {line}: {error}")))
}

fn parse_lines<T: DeserializeOwned>(bytes: &[u8]) -> Result<Lines<T>, (usize, String)> {
    let mut parsed = Vec::new();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let at = |error: String| (index + 1, error);
        let text = line
            .strip_suffix(b"\n")
            .ok_or_else(|| at("it does not end".to_owned()))?;
        let value = parse_strict(text, StrictLimits { bytes: LINE_BYTES }).map_err(|error| at(error.to_string()))?;
        parsed.push((value, Sha256Digest::of(text)));
    }
    Ok(parsed)
}

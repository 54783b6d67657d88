//! The secret scan: provider rules and exact known secrets, found before bytes become evidence.
//!
//! One pass with a SIMD search for the rules' keywords decides whether any regular expression runs at all; each is
//! compiled at its first keyword and sees only windows around keywords, so hostile input costs linear time.

mod known;
mod rules;
#[cfg(test)]
mod tests;

pub use known::KnownSecret;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, Span};
use cto_schema::{SecretFinding, Sha256Digest};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::redact::rules::{RULES, Rule};

/// Finds secrets, and replaces each by `[redacted sha256:<12 hex>]`.
#[derive(Default)]
pub struct Redactor {
    known: Option<Known>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("known", &self.known.as_ref().map(|known| &known.names))
            .finish()
    }
}

/// A search for exact values.
struct Known {
    names: Vec<String>,
    search: AhoCorasick,
    /// Which name each pattern of the search belongs to.
    owners: Vec<usize>,
}

/// A secret's place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    at: Range<usize>,
    rule: Cow<'static, str>,
    name: Option<usize>,
}

impl Redactor {
    /// Returns a redactor that knows exact values besides the rules.
    pub fn with_known(secrets: &[KnownSecret]) -> Self {
        let names: Vec<String> = secrets
            .iter()
            .map(|secret| cto_schema::escape(secret.name.as_bytes(), 80))
            .collect();
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        for (owner, secret) in secrets.iter().enumerate() {
            for form in secret.forms() {
                patterns.push(form);
                owners.push(owner);
            }
        }
        // Contiguous NFA: small and quick to build; a few dozen patterns at most.
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns);
        let known = if patterns.is_empty() { None } else { search.ok() };
        Self {
            known: known.map(|search| Known { names, search, owners }),
        }
    }

    /// Returns the secrets in an artifact's bytes, in order.
    pub fn scan(&self, artifact: &str, bytes: &[u8]) -> Vec<SecretFinding> {
        self.find(bytes)
            .iter()
            .map(|found| self.finding(artifact, bytes, found))
            .collect()
    }

    /// Returns the bytes with every secret replaced, and what was found. Bytes without secrets are not copied.
    pub fn redact<'a>(&self, artifact: &str, bytes: &'a [u8]) -> (Cow<'a, [u8]>, Vec<SecretFinding>) {
        self.replace(artifact, bytes, &self.find(bytes))
    }

    /// Does the same to a text of the harness, in which `sha256:<64 hex>` is a digest: none is ever rewritten, whatever
    /// some variable of the environment may hold.
    pub(crate) fn redact_own<'a>(&self, artifact: &str, bytes: &'a [u8]) -> (Cow<'a, [u8]>, Vec<SecretFinding>) {
        self.replace(artifact, bytes, &self.find_in_own(bytes))
    }

    fn replace<'a>(&self, artifact: &str, bytes: &'a [u8], places: &[Found]) -> (Cow<'a, [u8]>, Vec<SecretFinding>) {
        if places.is_empty() {
            return (Cow::Borrowed(bytes), Vec::new());
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut findings = Vec::with_capacity(places.len());
        let mut from = 0;
        for found in places {
            let finding = self.finding(artifact, bytes, found);
            clean.extend_from_slice(&bytes[from..found.at.start]);
            clean.extend_from_slice(format!("[redacted sha256:{}]", finding.fingerprint).as_bytes());
            from = found.at.end;
            findings.push(finding);
        }
        clean.extend_from_slice(&bytes[from..]);
        (Cow::Owned(clean), findings)
    }

    /// Returns a name with every secret replaced by a word that a patch and a file system can carry; `None` when there is
    /// nothing to replace.
    pub(crate) fn clean_name(&self, name: &[u8]) -> Option<Vec<u8>> {
        let places = self.find(name);
        let mut clean = Vec::with_capacity(name.len());
        let mut from = 0;
        for found in &places {
            clean.extend_from_slice(&name[from..found.at.start]);
            let fingerprint = self.finding("", name, found).fingerprint;
            clean.extend_from_slice(format!("[redacted-sha256-{fingerprint}]").as_bytes());
            from = found.at.end;
        }
        clean.extend_from_slice(&name[from..]);
        (!places.is_empty()).then_some(clean)
    }

    /// Returns a document in which every text is clean, and what was found. Texts are judged one by one, so that a
    /// replacement never breaks the document around it.
    pub(crate) fn redact_document<T: Serialize + DeserializeOwned>(
        &self,
        artifact: &str,
        document: T,
    ) -> Result<(T, Vec<SecretFinding>), serde_json::Error> {
        if self.find_in_own(&serde_json::to_vec(&document)?).is_empty() {
            return Ok((document, Vec::new()));
        }
        let mut findings = Vec::new();
        let clean = self.redact_value(artifact, serde_json::to_value(document)?, &mut findings);
        Ok((serde_json::from_value(clean)?, findings))
    }

    fn redact_value(&self, artifact: &str, value: Value, findings: &mut Vec<SecretFinding>) -> Value {
        let mut clean_text = |text: String| {
            let (clean, found) = self.redact_own(artifact, text.as_bytes());
            findings.extend(found);
            String::from_utf8_lossy(&clean).into_owned()
        };
        match value {
            Value::String(text) => Value::String(clean_text(text)),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.redact_value(artifact, item, findings))
                .collect(),
            Value::Object(fields) => {
                let mut clean = serde_json::Map::new();
                for (name, item) in fields {
                    let name = clean_text(name);
                    clean.insert(name, item);
                }
                for item in clean.values_mut() {
                    *item = self.redact_value(artifact, item.take(), findings);
                }
                Value::Object(clean)
            }
            other => other,
        }
    }

    fn finding(&self, artifact: &str, bytes: &[u8], found: &Found) -> SecretFinding {
        let known = found.name.and_then(|owner| self.known.as_ref()?.names.get(owner));
        let mut fingerprint = Sha256Digest::of(&bytes[found.at.clone()]).hex();
        fingerprint.truncate(12);
        SecretFinding {
            artifact: artifact.to_owned(),
            rule: known.map_or_else(|| found.rule.to_string(), |name| format!("known:{name}")),
            fingerprint,
        }
    }

    fn find_in_own(&self, bytes: &[u8]) -> Vec<Found> {
        let mut places = self.find(bytes);
        places.retain(|found| !within_digest(bytes, &found.at));
        places
    }

    /// Returns the places of secrets, in order and without overlap. A known secret's name outranks a rule's.
    fn find(&self, bytes: &[u8]) -> Vec<Found> {
        let mut places = by_rules(bytes);
        if let Some(known) = &self.known {
            known.find(bytes, &mut places);
        }
        places.sort_by_key(|found| (found.at.start, found.name.is_none(), found.at.end));
        let mut merged: Vec<Found> = Vec::with_capacity(places.len());
        for found in places {
            match merged.last_mut() {
                Some(last) if found.at.start < last.at.end => {
                    last.at.end = last.at.end.max(found.at.end);
                    last.name = last.name.or(found.name);
                }
                _ => merged.push(found),
            }
        }
        merged
    }
}

impl Known {
    fn find(&self, bytes: &[u8], places: &mut Vec<Found>) {
        let mut from = 0;
        while let Some(hit) = self
            .search
            .find(aho_corasick::Input::new(bytes).span(from..bytes.len()))
        {
            let name = self.owners.get(hit.pattern().as_usize()).copied();
            places.push(Found {
                at: hit.start()..hit.end(),
                rule: Cow::Borrowed("known"),
                name,
            });
            // Not from its end: two secrets may overlap.
            from = hit.start() + 1;
        }
    }
}

/// True for a place inside of `sha256:` and exactly 64 lower-case hexadecimal digits.
fn within_digest(bytes: &[u8], at: &Range<usize>) -> bool {
    const LABEL: &[u8] = b"sha256:";
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let labelled = bytes[at.start..].starts_with(LABEL);
    let inside = if labelled { at.start + LABEL.len() } else { at.start };
    let before = bytes[..inside].iter().rev().take_while(|byte| is_hex(byte)).count();
    let after = bytes[inside..].iter().take_while(|byte| is_hex(byte)).count();
    before + after == 64 && at.end <= inside + after && bytes[..inside - before].ends_with(LABEL)
}

/// The keyword search, its fallback where the processor has no SIMD for it, and the rules of each keyword.
struct Prefilter {
    packed: Option<packed::Searcher>,
    plain: Option<AhoCorasick>,
    rules: Vec<Vec<usize>>,
    expressions: Vec<OnceLock<Option<Regex>>>,
}

fn prefilter() -> &'static Prefilter {
    static PREFILTER: OnceLock<Prefilter> = OnceLock::new();
    PREFILTER.get_or_init(|| {
        let mut keywords: Vec<&str> = RULES.iter().flat_map(|rule| rule.keywords).copied().collect();
        keywords.sort_unstable();
        keywords.dedup();
        let owned = |keyword: &&str| {
            let holds = |rule: &Rule| rule.keywords.contains(keyword);
            RULES
                .iter()
                .enumerate()
                .filter(|(_, rule)| holds(rule))
                .map(|(index, _)| index)
                .collect()
        };
        let packed = packed::Config::new()
            .heuristic_pattern_limits(false)
            .builder()
            .extend(&keywords)
            .build();
        // Half a millisecond to build, so only where it is needed.
        let fallback = || {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(&keywords)
                .ok()
        };
        let plain = if packed.is_none() { fallback() } else { None };
        Prefilter {
            packed,
            plain,
            rules: keywords.iter().map(owned).collect(),
            expressions: RULES.iter().map(|_| OnceLock::new()).collect(),
        }
    })
}

impl Prefilter {
    /// Returns the first keyword at or after `from`: its number and its start.
    fn next(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        let span = Span {
            start: from,
            end: bytes.len(),
        };
        let hit = match (&self.packed, &self.plain) {
            (Some(packed), _) => packed.find_in(bytes, span)?,
            (None, plain) => plain.as_ref()?.find(aho_corasick::Input::new(bytes).span(span))?,
        };
        Some((hit.pattern().as_usize(), hit.start()))
    }

    fn expression(&self, rule: usize) -> Option<&Regex> {
        self.expressions
            .get(rule)?
            .get_or_init(|| compile(&RULES[rule]).ok())
            .as_ref()
    }
}

/// Compiles a rule's expression over bytes: credentials are ASCII, and what surrounds them need not be text.
fn compile(rule: &Rule) -> Result<Regex, regex::Error> {
    RegexBuilder::new(rule.pattern).unicode(false).build()
}

fn by_rules(bytes: &[u8]) -> Vec<Found> {
    let prefilter = prefilter();
    let mut windows: Vec<Vec<Range<usize>>> = Vec::new();
    let mut from = 0;
    while let Some((keyword, start)) = prefilter.next(bytes, from) {
        windows.resize_with(RULES.len(), Vec::new);
        for &index in &prefilter.rules[keyword] {
            let rule = &RULES[index];
            let window = start.saturating_sub(rule.before)..(start + rule.after).min(bytes.len());
            // Windows that touch become one, so that no byte is matched twice.
            match windows[index].last_mut() {
                Some(last) if window.start <= last.end => last.end = window.end,
                _ => windows[index].push(window),
            }
        }
        from = start + 1;
    }
    let mut places = Vec::new();
    for (index, windows) in windows.iter().enumerate() {
        for window in windows {
            match_rule(prefilter, index, bytes, window, &mut places);
        }
    }
    places
}

fn match_rule(prefilter: &Prefilter, index: usize, bytes: &[u8], window: &Range<usize>, places: &mut Vec<Found>) {
    let rule = &RULES[index];
    let Some(expression) = prefilter.expression(index) else {
        return;
    };
    for captures in expression.captures_iter(&bytes[window.clone()]) {
        // The first group that took part; the whole match when the rule has none.
        let group = captures.iter().skip(1).flatten().next().or_else(|| captures.get(0));
        let Some(secret) = group else { continue };
        if entropy_tenths(secret.as_bytes()) < rule.entropy_tenths || secret.as_bytes().ends_with(b"EXAMPLE") {
            continue;
        }
        let at = window.start + secret.start()..window.start + secret.end();
        places.push(Found {
            at,
            rule: Cow::Borrowed(rule.id),
            name: None,
        });
    }
}

/// Returns the Shannon entropy of bytes in tenths of a bit per byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts of a short text, and a result between 0 and 80"
)]
fn entropy_tenths(bytes: &[u8]) -> u32 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len() as f64;
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|p| -p * p.log2())
        .sum();
    (bits * 10.0) as u32
}

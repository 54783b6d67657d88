//! Who may approve: an `allowed_signers` file, read as `ssh-keygen` reads it, and more strictly.

use cto_schema::APPROVAL_NAMESPACE;
use ssh_key::PublicKey;

/// Key types whose signatures can be checked here.
const KEY_TYPES: [&str; 2] = ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"];

/// Why a line of an allowed signers file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SignersError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and the mend.
    pub reason: String,
}

/// One principal and one of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signer {
    principal: String,
    key: PublicKey,
    valid_after: Option<i64>,
    valid_before: Option<i64>,
}

/// The principals who may approve, and their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Signer>);

impl AllowedSigners {
    /// Reads an allowed signers file (ssh-keygen(1), "ALLOWED SIGNERS").
    ///
    /// Each line is `principals namespaces="cto-approval@v1" keytype base64-key`, optionally with `valid-after` and
    /// `valid-before`. Stricter than OpenSSH: the namespace must be named, principals are names and no patterns, and
    /// certificate authorities are refused; a line that cannot be used makes the file unusable.
    pub fn read(text: &str) -> Result<Self, SignersError> {
        let mut signers = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = read_line(line).map_err(|reason| SignersError {
                line: index + 1,
                reason,
            })?;
            signers.extend(read);
        }
        Ok(Self(signers))
    }

    /// Returns whether nobody may approve.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the principals that a key in the form of OpenSSH belongs to at a time; the error says why it is none.
    pub fn principals_of(&self, key: &str, at_seconds: i64) -> Result<Vec<String>, String> {
        let key = PublicKey::from_openssh(key).map_err(|_| "its public half cannot be read".to_owned())?;
        usable(&key)?;
        Ok(self
            .principals(&key, at_seconds)
            .into_iter()
            .map(str::to_owned)
            .collect())
    }

    /// Returns the principals that a key belongs to at a time, in the order of the file.
    pub fn principals(&self, key: &PublicKey, at_seconds: i64) -> Vec<&str> {
        let holds = |signer: &&Signer| {
            signer.key.key_data() == key.key_data()
                && signer.valid_after.is_none_or(|after| at_seconds >= after)
                && signer.valid_before.is_none_or(|before| at_seconds < before)
        };
        self.0
            .iter()
            .filter(holds)
            .map(|signer| signer.principal.as_str())
            .collect()
    }
}

fn read_line(line: &str) -> Result<Vec<Signer>, String> {
    let words = words(line)?;
    let (principals, rest) = words.split_first().ok_or("it is empty")?;
    let at = rest
        .iter()
        .position(|word| KEY_TYPES.contains(&word.as_str()))
        .ok_or("it names no key type that is known here; use an Ed25519 key, in a file or on a security key")?;
    let (options, key) = rest.split_at(at);
    let [kind, base64, ..] = key else {
        return Err("the key is missing after its type".to_owned());
    };
    let key = PublicKey::from_openssh(&format!("{kind} {base64}")).map_err(|_| "its key cannot be read".to_owned())?;
    usable(&key)?;
    let (mut namespaces, mut valid_after, mut valid_before) = (None, None, None);
    for option in options.iter().flat_map(|options| split_options(options)) {
        let (name, value) = option.split_once('=').unwrap_or((option.as_str(), ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => namespaces = Some(value.to_owned()),
            "valid-after" => valid_after = Some(moment(value)?),
            "valid-before" => valid_before = Some(moment(value)?),
            "cert-authority" => {
                return Err("certificate authorities are not believed; name the keys themselves".to_owned());
            }
            other => {
                return Err(format!(
                    "option '{}' is not known",
                    cto_schema::escape(other.as_bytes(), 40)
                ));
            }
        }
    }
    let named = namespaces.is_some_and(|list| list.split(',').any(|name| name == APPROVAL_NAMESPACE));
    if !named {
        return Err(format!(
            "it does not name the namespace of approvals; write namespaces=\"{APPROVAL_NAMESPACE}\" before the key type"
        ));
    }
    principals
        .split(',')
        .map(|principal| {
            if principal.is_empty()
                || principal.contains(['*', '?', '!'])
                || !principal.bytes().all(|b| b.is_ascii_graphic())
            {
                return Err("a principal is a name in printable ASCII, without patterns".to_owned());
            }
            Ok(Signer {
                principal: principal.to_owned(),
                key: key.clone(),
                valid_after,
                valid_before,
            })
        })
        .collect()
}

/// Refuses keys whose signatures cannot be checked here.
pub(super) fn usable(key: &PublicKey) -> Result<(), String> {
    let kind = key.algorithm();
    if KEY_TYPES.contains(&kind.as_str()) {
        Ok(())
    } else {
        Err(format!(
            "keys of type {kind} are not used for approvals; make one with: ssh-keygen -t ed25519"
        ))
    }
}

/// Splits at blanks outside quotes.
fn words(line: &str) -> Result<Vec<String>, String> {
    split(line, |c| c == ' ' || c == '\t').ok_or_else(|| "a quote is not closed".to_owned())
}

/// Splits a list of options at commas outside quotes.
fn split_options(options: &str) -> Vec<String> {
    split(options, |c| c == ',').unwrap_or_default()
}

fn split(text: &str, is_end: impl Fn(char) -> bool) -> Option<Vec<String>> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        }
        if is_end(c) && !quoted {
            if !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
        } else {
            part.push(c);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    (!quoted).then_some(parts)
}

/// Reads `YYYYMMDD[HHMM[SS]]Z`. OpenSSH also takes local time; here the zone must be said.
fn moment(text: &str) -> Result<i64, String> {
    let wrong = || "a time is YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ, in UTC".to_owned();
    let digits = text.strip_suffix('Z').ok_or_else(wrong)?;
    let full = match digits.len() {
        8 => format!("{digits}000000"),
        12 => format!("{digits}00"),
        14 => digits.to_owned(),
        _ => return Err(wrong()),
    };
    if !full.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| full.get(from..to).unwrap_or_default();
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    );
    iso.parse::<cto_schema::Moment>()
        .map(|at| at.unix_seconds())
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const NS: &str = "namespaces=\"cto-approval@v1\"";

    fn key() -> PublicKey {
        PublicKey::from_openssh(KEY).unwrap()
    }

    #[test]
    fn reads_principals_and_times_as_written() {
        let text = format!(
            "# operators\n\nanna@x,bert@x {NS} {KEY} comment words\ncarl@x valid-after=\"20261101Z\",{NS},valid-before=\"202612010000Z\" {KEY}\n"
        );
        let signers = AllowedSigners::read(&text).unwrap();
        let at = |text: &str| text.parse::<cto_schema::Moment>().unwrap().unix_seconds();
        assert_eq!(signers.principals(&key(), at("2026-10-31")), ["anna@x", "bert@x"]);
        assert_eq!(
            signers.principals(&key(), at("2026-11-01")),
            ["anna@x", "bert@x", "carl@x"]
        );
        assert_eq!(signers.principals(&key(), at("2026-12-01")), ["anna@x", "bert@x"]);
        let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdDZ1rOl2rXk3q3dUGPqPJzhA3fhOvG0S8Jm7wIhVLx";
        if let Ok(other) = PublicKey::from_openssh(other) {
            assert!(signers.principals(&other, 0).is_empty());
        }
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused_with_its_line() {
        for (line, says) in [
            (format!("anna@x {KEY}"), "namespace"),
            (format!("anna@x namespaces=\"git\" {KEY}"), "namespace"),
            (format!("*@x {NS} {KEY}"), "without patterns"),
            (format!("!anna@x,* {NS} {KEY}"), "without patterns"),
            (format!("anna@x cert-authority,{NS} {KEY}"), "authorities"),
            (format!("anna@x {NS},touch-optional {KEY}"), "not known"),
            (format!("anna@x {NS} ssh-ed25519"), "missing"),
            (format!("anna@x {NS} ssh-ed25519 AAAA"), "cannot be read"),
            (format!("anna@x {NS}"), "key type"),
            (format!("anna@x namespaces=\"cto-approval@v1 {KEY}"), "quote"),
            (format!("anna@x {NS},valid-after=\"20261301Z\" {KEY}"), "time"),
            (format!("anna@x {NS},valid-after=\"20261101\" {KEY}"), "time"),
        ] {
            let error = AllowedSigners::read(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{line}");
            assert!(error.reason.contains(says), "{line}: {error}");
        }
    }
}

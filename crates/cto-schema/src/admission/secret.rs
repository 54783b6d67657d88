//! Whether a text looks like a secret: a record names classes of credentials, never one.

/// Beginnings of credentials whose shape is known.
const PREFIXES: [&str; 24] = [
    "sk-",
    "sk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "akia",
    "asia",
    "aiza",
    "hf_",
    "npm_",
    "pypi-",
    "ya29.",
    "eyj",
    "gocspx-",
    "age-secret-key-",
];

/// Names that stand before a credential's value.
const LABELS: [&str; 8] = [
    "password", "passwd", "secret", "token", "api_key", "api-key", "apikey", "bearer",
];

/// Returns why a text looks like a secret; `None` when it does not.
pub fn looks_like_a_secret(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    if text.contains("-----BEGIN") {
        return Some("it holds a key in PEM form");
    }
    if has_userinfo(text) {
        return Some("it holds an address with a user or password");
    }
    if labelled(&lower) {
        return Some("it holds a named credential");
    }
    for word in text.split(|c: char| c.is_whitespace() || "\"'`,;()[]{}<>=".contains(c)) {
        let start = word.to_lowercase();
        if word.len() >= 20 && word.bytes().any(|b| b.is_ascii_digit()) && PREFIXES.iter().any(|p| start.starts_with(p))
        {
            return Some("it holds what has the shape of a credential");
        }
        let hashed = ["sha1-", "sha256-", "sha384-", "sha512-"]
            .iter()
            .any(|p| start.starts_with(p));
        if !hashed && word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random) {
            return Some("it holds a long random word");
        }
    }
    None
}

fn has_userinfo(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let end = rest
            .find(|c: char| c.is_whitespace() || "/?#".contains(c))
            .unwrap_or(rest.len());
        rest[..end].contains('@')
    })
}

/// `token=…`, `password: …`, `Bearer …` before a word of at least eight characters with a digit in it.
fn labelled(lower: &str) -> bool {
    LABELS.iter().any(|label| {
        lower.match_indices(label).any(|(at, _)| {
            let rest = &lower[at + label.len()..];
            let value = match rest.trim_start().strip_prefix(['=', ':']) {
                Some(value) => value.trim_start(),
                None if *label == "bearer" => rest.trim_start(),
                None => return false,
            };
            let word = value.split_whitespace().next().unwrap_or_default();
            word.len() >= 8 && word.bytes().any(|b| b.is_ascii_digit())
        })
    })
}

/// Letters of both cases and digits in one long run; digests are lower-case hex and do not hit.
fn is_random(run: &str) -> bool {
    let count = |class: fn(&u8) -> bool| run.bytes().filter(class).count();
    run.len() >= 24
        && count(u8::is_ascii_digit) >= 2
        && count(u8::is_ascii_uppercase) >= 3
        && count(u8::is_ascii_lowercase) >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_must_never_stand_in_a_record() {
        let made = |parts: &[&str]| parts.concat();
        for text in [
            made(&["sk-", "proj-0123456789abcdefABCDEF0123"]),
            made(&["ghp_", "0123456789abcdefghij0123456789abcdef"]),
            made(&["AKIA", "IOSFODNN7EXAMPLE2345"]),
            made(&["eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"]),
            "https://user:word@example.org/x".to_owned(),
            "http://key@127.0.0.1:8000/v1".to_owned(),
            "password=hunter2hunter2".to_owned(),
            "the token: abc123def456".to_owned(),
            "Authorization: Bearer abc123def456".to_owned(),
            "-----BEGIN PRIVATE KEY-----".to_owned(),
            "Zm9vYmFyQmF6MTIzNDU2Nzg5MEFiQ2RFZg".to_owned(),
        ] {
            assert!(looks_like_a_secret(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn leaves_ordinary_records_alone() {
        for text in [
            "operator chat approval on 2026-05-31",
            "codex-oauth-hosted-model-plus-local-vllm-fallback",
            "pi-models-json-local-provider-no-secret",
            "Before the admission path changes, before credential source changes",
            "no customer data, no secrets, no deploy path",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha512-zPAT6CGy8rSo4DNqN6DkXBAVjcMmtZBBBAQoNUrpgu1mQzQoSI/6tH1wMCVYmeFlFoK9EA==",
            "https://example.org/some/path@1.2.3",
            "secrets: never; tokens: counted",
        ] {
            assert_eq!(looks_like_a_secret(text), None, "{text}");
        }
    }
}

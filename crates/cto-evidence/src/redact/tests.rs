//! Goldens of the secret scan. Secrets are put together here, so that no scanner finds one in this file.

use cto_schema::Sha256Digest;

use super::{KnownSecret, Redactor};
use crate::redact::rules::RULES;

const LOWER: &str = "k3vq8zt0x5m2b7n9w4c6j1h8g5f2d0s7a3p9r6y1u4e8i2o5l7";
const MIXED: &str = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xYzC0fLbXkRqTnVwPyZhJ5s7D9g2";
const HEX: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdeffedcba9876543210";
const UPPER: &str = "Q2W7E3R5T6Y4U2I7O5PASDFGHJKLZXCVBNM234567QWERTZUIOPLKJHGFDSAYXCVBNM";

/// Rule, text before, secret, text after; and the secret made harmless.
#[expect(clippy::too_many_lines, reason = "a table with one row per rule")]
fn samples() -> Vec<(&'static str, String, String, String)> {
    let m = |len: usize| MIXED.repeat(8)[..len].to_owned();
    let h = |len: usize| HEX.repeat(2)[..len].to_owned();
    let letters = |len: usize| {
        m(400)
            .chars()
            .filter(char::is_ascii_alphabetic)
            .take(len)
            .collect::<String>()
    };
    let base32 = UPPER.chars().filter(|c| !"0189".contains(*c)).collect::<String>();
    let bech32 = UPPER.chars().filter(|c| !"1BIO".contains(*c)).collect::<String>();
    let plain = |id, head: &[&str], tail: String| (id, "token=".to_owned(), head.concat() + &tail, "\n".to_owned());
    vec![
        plain("aws-access-key-id", &["AK", "IA"], base32[..16].to_owned()),
        (
            "aws-secret-access-key",
            ["aws_secret_", "access_key = \""].concat(),
            m(40),
            "\"".into(),
        ),
        plain("github-token", &["gh", "p_"], m(36)),
        plain("github-fine-grained-token", &["github", "_pat_"], m(82)),
        plain("gitlab-token", &["gl", "pat-"], m(20)),
        plain(
            "slack-token",
            &["xo", "xb-"],
            format!("123456789012-123456789012-{}", m(24)),
        ),
        (
            "slack-webhook",
            ["https://hooks.slack", ".com/services/"].concat(),
            format!("T0AB12CD3/B0AB12CD3/{}", m(24)),
            "\"".into(),
        ),
        plain("stripe-live-key", &["sk_", "live_"], m(24)),
        plain("google-api-key", &["AI", "za"], m(35)),
        plain("google-oauth-secret", &["GOC", "SPX-"], m(28)),
        plain("anthropic-key", &["sk-", "ant-api03-"], m(95)),
        plain("openai-key", &["sk-", "proj-"], m(120)),
        plain("openrouter-key", &["sk-", "or-v1-"], h(64)),
        plain("deepseek-key", &["sk", "-"], h(32)),
        plain("huggingface-token", &["h", "f_"], letters(34)),
        plain("npm-token", &["np", "m_"], m(36)),
        plain("pypi-token", &["py", "pi-AgEIcHlwaS5vcmc"], m(160)),
        plain("sendgrid-key", &["S", "G."], format!("{}.{}", m(22), m(43))),
        (
            "twilio-secret",
            "# twilio\nsid=".into(),
            ["S", "K"].concat() + &h(32),
            "\n".into(),
        ),
        plain("digitalocean-token", &["dop", "_v1_"], h(64)),
        (
            "private-key",
            "key:\n".into(),
            format!(
                "{0}BEGIN RSA PRIV{1}{0}\n{2}\n{3}\n{0}END RSA PRIV{1}{0}",
                "-----",
                "ATE KEY",
                m(64),
                m(64)
            ),
            "\n".into(),
        ),
        plain(
            "json-web-token",
            &["ey", "J"],
            format!("{}.ey{}{}.{}", m(30), "J", m(60), m(43)),
        ),
        (
            "azure-storage-key",
            ["Account", "Key="].concat(),
            m(86) + "==",
            ";".into(),
        ),
        ("datadog-key", ["DD_API", "_KEY="].concat(), h(32), "\n".into()),
        plain("postman-key", &["PM", "AK-"], format!("{}-{}", h(24), h(34))),
        plain("shopify-token", &["shp", "at_"], h(32)),
        plain("square-token", &["sq0", "atp-"], m(22)),
        plain("telegram-token", &["123456789", ":A", "A"], m(33)),
        (
            "discord-webhook",
            ["https://discord", ".com/api/webhooks/"].concat(),
            format!("123456789012345678/{}", m(68)),
            "\n".into(),
        ),
        (
            "discord-token",
            "discord: ".into(),
            format!("M{}.{}.{}", m(23), &LOWER[..6], m(27)),
            "\n".into(),
        ),
        plain("vault-token", &["hv", "s."], m(90)),
        plain("age-secret-key", &["AGE-SECRET", "-KEY-1"], bech32[..58].to_owned()),
        plain("databricks-token", &["da", "pi"], h(32)),
        plain("grafana-token", &["gl", "sa_"], format!("{}_{}", m(32), h(8))),
        plain("docker-token", &["dckr", "_pat_"], m(27)),
        plain("groq-key", &["gs", "k_"], m(52)),
        plain("xai-key", &["xa", "i-"], m(80)),
    ]
}

fn known(value: &str) -> Redactor {
    Redactor::with_known(&[KnownSecret {
        name: "gateway".into(),
        value: value.into(),
    }])
}

#[test]
fn every_rule_finds_its_secret_and_replaces_exactly_it() {
    let redactor = Redactor::default();
    let samples = samples();
    for (id, before, secret, after) in &samples {
        for filler in ["", "x = 1\n", &"ordinary text. ".repeat(600)] {
            let text = format!("{filler}{before}{secret}{after}{filler}");
            let (clean, findings) = redactor.redact("test.log", text.as_bytes());
            assert_eq!(
                findings.iter().map(|f| f.rule.as_str()).collect::<Vec<_>>(),
                [*id],
                "{secret}"
            );
            let mark = format!("[redacted sha256:{}]", &Sha256Digest::of(secret.as_bytes()).hex()[..12]);
            assert_eq!(
                String::from_utf8_lossy(&clean),
                format!("{filler}{before}{mark}{after}{filler}"),
                "{id}"
            );
            assert_eq!(findings[0].artifact, "test.log");
            assert!(redactor.scan("x", &clean).is_empty(), "{id}");
        }
    }
    let mut tested: Vec<&str> = samples.iter().map(|sample| sample.0).collect();
    let mut all: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    tested.sort_unstable();
    all.sort_unstable();
    assert_eq!(tested, all, "a rule without a sample");
}

#[test]
fn every_rule_leaves_its_near_misses_alone() {
    let redactor = Redactor::default();
    for (id, before, secret, after) in samples() {
        // One character short in its last part, of one letter only, and as a placeholder.
        let last = secret.rfind(['.', '-', '_', '/', ':']).map_or(0, |at| at + 1);
        let body = if id == "private-key" {
            secret.find('\n').unwrap()
        } else {
            last.min(secret.len() - 8)
        };
        let flat: String = secret
            .char_indices()
            .map(|(at, c)| {
                if at >= body.max(4) && c.is_ascii_alphanumeric() {
                    'a'
                } else {
                    c
                }
            })
            .collect();
        let mut misses = vec![("cut", secret[..secret.len().min(14)].to_owned())];
        // Entropy tells a real key from a drawn line, but a rule over hex digits alone accepts what is random enough.
        if ![
            "slack-token",
            "json-web-token",
            "sendgrid-key",
            "discord-token",
            "postman-key",
            "grafana-token",
        ]
        .contains(&id)
        {
            misses.push(("flat", flat));
        }
        for (kind, miss) in misses {
            let text = format!("{before}{miss}{after}");
            assert!(redactor.scan("x", text.as_bytes()).is_empty(), "{id} {kind}: {text}");
        }
    }
}

#[test]
fn ordinary_text_that_looks_close_is_left_alone() {
    let commit = &HEX[..40];
    for text in [
        format!("commit {commit}\nindex {commit}..{commit} 100644\n"),
        "task-list disk-usage risk-free sk-learn sk-SK ask-for-help-with-this-very-long-dashed-name-of-a-file".into(),
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            &MIXED[..50]
        ),
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            &MIXED[..50]
        ),
        format!("datadog uses commit {commit}"),
        "hf_hub_download npm_config_registry npm_package_name gho_st AKIATEST SG.a.b eyJ9".into(),
        ["AK", "IAIOSFODNN7EXAMPLE"].concat(),
        format!("sha256:{HEX}"),
    ] {
        assert!(Redactor::default().scan("x", text.as_bytes()).is_empty(), "{text}");
    }
}

#[test]
fn a_private_key_is_found_escaped_in_json_in_a_diff_and_cut_off() {
    let body: String = MIXED.repeat(4);
    let marker = |word: &str| format!("-----{word} PRIV{}-----", "ATE KEY");
    for (newline, end) in [("\\n", marker("END")), ("\n+", marker("END")), ("\n", String::new())] {
        let text = format!("{{\"key\":\"{}{newline}{body}{newline}{end}\"}}", marker("BEGIN"));
        let (clean, findings) = Redactor::default().redact("x", text.as_bytes());
        assert_eq!(findings.len(), 1, "{text}");
        assert!(!String::from_utf8_lossy(&clean).contains(&body[..30]), "{text}");
    }
}

#[test]
fn a_known_secret_is_found_in_every_encoding_and_position() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let secret = "can ary/+ü\"7Xq?z>>";
    let redactor = known(secret);
    let hex = data_encoding::HEXLOWER.encode(secret.as_bytes());
    let mut texts = vec![
        secret.to_owned(),
        serde_json::to_string(secret).unwrap(),
        hex.to_uppercase(),
        hex,
    ];
    for before in ["", "u", "us", "user:", "some user:"] {
        for after in ["", "x", "yz", " and more"] {
            let whole = format!("{before}{secret}{after}");
            texts.push(STANDARD.encode(&whole));
            texts.push(URL_SAFE_NO_PAD.encode(&whole));
        }
    }
    texts.push("q=can%20ary%2F%2B%C3%BC%227Xq%3Fz%3E%3E&x".into());
    texts.push("q=can+ary%2f%2b%c3%bc%227Xq%3fz%3e%3e&x".into());
    for text in texts {
        let (clean, findings) = redactor.redact("x", text.as_bytes());
        assert_eq!(findings.len(), 1, "{text}");
        assert_eq!(findings[0].rule, "known:gateway");
        assert!(clean.len() < text.len() + 40 && redactor.scan("x", &clean).is_empty());
    }
    assert!(!format!("{redactor:?}").contains("ary"));
}

#[test]
fn overlapping_secrets_leave_nothing_behind() {
    let secrets = ["abcdefgh", "efghijkl", "kl"].map(|value| KnownSecret {
        name: value.into(),
        value: value.into(),
    });
    let redactor = Redactor::with_known(&secrets);
    let (clean, findings) = redactor.redact("x", b"..abcdefghijkl..kl");
    assert_eq!(findings.len(), 1);
    assert!(
        clean.starts_with(b"..[redacted") && clean.ends_with(b"]..kl"),
        "values under 4 bytes are not looked for"
    );
}

#[test]
fn keywords_are_prefix_free_and_every_expression_compiles() {
    let keywords: Vec<&str> = RULES.iter().flat_map(|rule| rule.keywords).copied().collect();
    for a in &keywords {
        assert!(keywords.iter().all(|b| a == b || !a.starts_with(b)), "{a}");
        assert!(a.len() >= 3, "{a} is too short to search for");
    }
    for rule in RULES {
        super::compile(rule).unwrap_or_else(|error| panic!("{}: {error}", rule.id));
        assert!(rule.keywords.iter().all(|keyword| rule.pattern.len() > keyword.len()));
    }
    assert!(super::prefilter().packed.is_some() || cfg!(not(target_arch = "x86_64")));
}

#[test]
fn hostile_input_costs_linear_time() {
    let started = std::time::Instant::now();
    for unit in [
        "sk-",
        "eyJ",
        "eyJhbGciOiJIUzI1NiJ9.",
        "-----BEGIN PRIVATE KEY-----",
        "ghp_a",
        ":AA",
        "AKIA",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        Redactor::default().scan("x", text.as_bytes());
    }
    assert!(
        started.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_digest_in_a_text_of_the_harness_is_no_secret_whatever_a_variable_holds() {
    let hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let digest = format!("sha256:{hex}");
    for value in [hex, digest.as_str(), &hex[..20], "sha256:0123456789"] {
        let redactor = known(value);
        for (text, is_secret) in [
            (digest.clone(), false),
            (format!("{{\"patch_digest\":\"{digest}\"}}"), false),
            (format!("{digest}0"), true),
            (format!("sha256:{}", &hex[..63]), value.len() < 64),
            (
                format!("sha512:{hex}"),
                value.len() <= 64 && !value.starts_with("sha256"),
            ),
        ] {
            let (_, found) = redactor.redact_own("x", text.as_bytes());
            assert_eq!(!found.is_empty(), is_secret, "{value} in {text}");
        }
        // In what an agent wrote nobody knows what it is.
        assert!(!redactor.scan("x", digest.as_bytes()).is_empty());
    }
}

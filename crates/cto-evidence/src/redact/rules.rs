//! The rules of the secret scan: providers whose credentials have a shape of their own.
//!
//! After the rules of gitleaks (MIT), cut to those that hardly ever hit by accident. A keyword must occur before a
//! rule's expression is even compiled; the expression then sees a window around it. No keyword may be a prefix of
//! another, because the scan asks which one starts at a place; a test checks that.

/// One rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Stable name, shown in findings.
    pub(crate) id: &'static str,
    /// At least one of these occurs wherever the expression matches.
    pub(crate) keywords: &'static [&'static str],
    /// Regular expression over bytes; its first group, if any, is the secret.
    pub(crate) pattern: &'static str,
    /// Least Shannon entropy of the secret in tenths of a bit per byte; 0 for any.
    pub(crate) entropy_tenths: u32,
    /// How many bytes before the start of a keyword the expression sees.
    pub(crate) before: usize,
    /// How many bytes from the start of a keyword on the expression sees.
    pub(crate) after: usize,
}

const fn rule(id: &'static str, keywords: &'static [&'static str], pattern: &'static str, entropy_tenths: u32) -> Rule {
    Rule {
        id,
        keywords,
        pattern,
        entropy_tenths,
        before: 64,
        after: 1024,
    }
}

const fn wide(rule: Rule, before: usize, after: usize) -> Rule {
    Rule { before, after, ..rule }
}

/// Keywords that several rules share.
const AZURE: &[&str] = &["AccountKey=", "SharedAccessKey="];
const DATADOG: &[&str] = &["datadog", "Datadog", "DATADOG", "DD_AP", "DD-AP"];
const AWS_SECRET: &[&str] = &[
    "aws_secret_access_key",
    "AWS_SECRET_ACCESS_KEY",
    "SecretAccessKey",
    "secretAccessKey",
];

/// Every rule.
pub(crate) const RULES: &[Rule] = &[
    rule(
        "aws-access-key-id",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b",
        30,
    ),
    rule(
        "aws-secret-access-key",
        AWS_SECRET,
        r#"(?i)(?:aws_secret_access_key|secretaccesskey)["'\\]*\s*[:=]\s*["'\\]*([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
        40,
    ),
    rule(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"\b(gh[pousr]_[A-Za-z0-9]{36,255})\b",
        30,
    ),
    rule(
        "github-fine-grained-token",
        &["github_pat_"],
        r"\b(github_pat_[A-Za-z0-9_]{82})\b",
        30,
    ),
    rule(
        "gitlab-token",
        &["glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-"],
        r"\b(gl(?:pat|ptt|dt|rt|cbt|soat)-[0-9A-Za-z_\-.]{20,300})",
        30,
    ),
    rule(
        "slack-token",
        &["xox", "xapp-"],
        r"\b((?:xox[abeprs][-.]|xapp-)[0-9A-Za-z\-.]{20,500})",
        25,
    ),
    rule(
        "slack-webhook",
        &["hooks.slack.com/"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_]{40,60})",
        30,
    ),
    rule(
        "stripe-live-key",
        &["k_live_"],
        r"\b([sr]k_live_[0-9A-Za-z]{16,247})\b",
        25,
    ),
    rule(
        "google-api-key",
        &["AIza"],
        r"\b(AIza[0-9A-Za-z_-]{35})(?:[^0-9A-Za-z_-]|$)",
        30,
    ),
    rule(
        "google-oauth-secret",
        &["GOCSPX-"],
        r"\b(GOCSPX-[0-9A-Za-z_-]{28})(?:[^0-9A-Za-z_-]|$)",
        30,
    ),
    rule(
        "anthropic-key",
        &["sk-"],
        r"\b(sk-ant-(?:api|admin|oat|ort|sid)[0-9]{2}-[A-Za-z0-9_-]{40,256})",
        35,
    ),
    rule(
        "openai-key",
        &["sk-"],
        r"\b(sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,256}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|sk-[A-Za-z0-9]{48})(?:[^A-Za-z0-9_-]|$)",
        35,
    ),
    rule("openrouter-key", &["sk-"], r"\b(sk-or-v1-[0-9a-f]{64})\b", 30),
    rule("deepseek-key", &["sk-"], r"\b(sk-[0-9a-f]{32})\b", 30),
    rule("huggingface-token", &["hf_"], r"\b(hf_[A-Za-z]{34})\b", 35),
    rule("npm-token", &["npm_"], r"\b(npm_[A-Za-z0-9]{36})\b", 30),
    wide(
        rule(
            "pypi-token",
            &["pypi-AgE"],
            r"\b(pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,1000})",
            30,
        ),
        64,
        2048,
    ),
    rule(
        "sendgrid-key",
        &["SG."],
        r"\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})(?:[^A-Za-z0-9_-]|$)",
        35,
    ),
    wide(
        rule(
            "twilio-secret",
            &["twilio", "Twilio", "TWILIO"],
            r#"\b(SK[0-9a-f]{32})\b|(?i:twilio)[A-Za-z_.\- ]{0,30}(?i:token|secret)["'\\]*\s*[:=]\s*["'\\]*([0-9a-f]{32})\b"#,
            30,
        ),
        256,
        512,
    ),
    rule("digitalocean-token", &["_v1_"], r"\b(do[opr]_v1_[a-f0-9]{64})\b", 30),
    wide(
        rule(
            "private-key",
            &["PRIVATE KEY"],
            r"-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.{40,}?)-----END[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----|-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s]|\\[nr]){40,}",
            30,
        ),
        128,
        16 * 1024,
    ),
    wide(
        rule(
            "json-web-token",
            &["eyJ"],
            r"\b(eyJ[A-Za-z0-9_-]{14,}\.eyJ[A-Za-z0-9_-]{14,}\.[A-Za-z0-9_-]{40,})",
            45,
        ),
        64,
        8 * 1024,
    ),
    rule(
        "azure-storage-key",
        AZURE,
        r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{42,86}={1,2})",
        40,
    ),
    rule(
        "datadog-key",
        DATADOG,
        r#"(?i)(?:datadog|dd)[a-z_.\- ]{0,30}key["'\\]*\s*[:=]\s*["'\\]*([0-9a-f]{40}|[0-9a-f]{32})\b"#,
        30,
    ),
    rule("postman-key", &["PMAK-"], r"\b(PMAK-[a-f0-9]{24}-[a-f0-9]{34})\b", 30),
    rule(
        "shopify-token",
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        r"\b(shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})\b",
        25,
    ),
    rule(
        "square-token",
        &["sq0"],
        r"\b(sq0(?:atp-[0-9A-Za-z_-]{22}|csp-[0-9A-Za-z_-]{43}))",
        30,
    ),
    rule(
        "telegram-token",
        &[":AA"],
        r"\b([0-9]{8,10}:AA[0-9A-Za-z_-]{33})(?:[^0-9A-Za-z_-]|$)",
        35,
    ),
    rule(
        "discord-webhook",
        &["discord"],
        r"discord(?:app)?\.com/api/webhooks/([0-9]{17,20}/[A-Za-z0-9_-]{60,80})",
        40,
    ),
    wide(
        rule(
            "discord-token",
            &["discord", "Discord", "DISCORD"],
            r"\b([MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38})(?:[^A-Za-z0-9_-]|$)",
            40,
        ),
        256,
        512,
    ),
    rule(
        "vault-token",
        &["hvs.", "hvb."],
        r"\b(hv[sb]\.[A-Za-z0-9_-]{24,300})",
        35,
    ),
    rule(
        "age-secret-key",
        &["AGE-SECRET-KEY-1"],
        r"\b(AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58})\b",
        35,
    ),
    rule("databricks-token", &["dapi"], r"\b(dapi[a-f0-9]{32}(?:-[0-9])?)\b", 30),
    rule(
        "grafana-token",
        &["glsa_"],
        r"\b(glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8})\b",
        30,
    ),
    rule(
        "docker-token",
        &["dckr_pat_"],
        r"\b(dckr_pat_[A-Za-z0-9_-]{27})(?:[^A-Za-z0-9_-]|$)",
        30,
    ),
    rule("groq-key", &["gsk_"], r"\b(gsk_[A-Za-z0-9]{52})\b", 35),
    rule("xai-key", &["xai-"], r"\b(xai-[0-9A-Za-z_]{80})\b", 35),
];

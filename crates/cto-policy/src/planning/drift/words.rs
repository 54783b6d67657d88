//! Small words that decide whether a sentence claims something.

/// Words that come between a verb and a role and change nothing.
pub(super) const FILLERS: &[&str] = &[
    "the", "a", "an", "our", "your", "its", "their", "this", "now", "currently", "already", "therefore", "thus", "hereby",
    "officially", "new", "official", "sole", "only", "single", "global", "current", "active", "primary", "main",
    "permanent", "also", "finally", "today", "still", "always", "everywhere", "fully", "formally", "de-facto", "own",
    "actual", "real", "effectively", "clearly", "itself", "both",
];

/// Verbs that say what something is.
pub(super) const BE: &[&str] = &["is", "are", "becomes", "became", "remains", "stays"];

/// Verbs that say it with `as` after them.
pub(super) const SERVE: &[&str] = &["serves", "acts", "functions", "works", "counts", "operates", "stands"];

/// Auxiliaries before a participle.
pub(super) const HAVE: &[&str] = &["has", "have", "was", "were", "is", "are", "been", "being", "gets", "got"];

/// Participles that make something what follows.
pub(super) const MADE: &[&str] = &[
    "made", "chosen", "selected", "set", "declared", "named", "designated", "adopted", "activated", "installed",
    "configured", "picked", "become", "promoted", "appointed", "established", "confirmed", "used", "enabled",
];

/// Finite verbs by which somebody makes something the default; base forms count after `we` and the like.
pub(super) const MAKES: &[&str] = &[
    "made", "makes", "uses", "used", "selected", "selects", "sets", "adopted", "adopts", "activated", "activates",
    "promoted", "promotes", "declared", "declares", "designated", "designates", "chose", "chooses", "picked", "picks",
    "configured", "configures", "installed", "installs", "established", "establishes", "named", "appointed",
];
pub(super) const MAKE: &[&str] = &[
    "make", "use", "select", "set", "adopt", "activate", "promote", "declare", "designate", "choose", "pick", "run",
    "treat",
];
pub(super) const SPEAKERS: &[&str] = &["we", "i", "they", "you", "operators", "teams"];

/// Nouns that may follow an engine's name and still mean the engine.
pub(super) const HEADS: &[&str] = &["engine", "agent", "backend", "lane", "adapter", "cli", "model"];

/// Words before a name that make it a common noun.
pub(super) const COMMON: &[&str] = &["this", "each", "every", "any", "no", "test", "which", "such", "a", "in", "some", "one"];

/// Words that deny what follows them.
pub(super) const NEGATORS: &[&str] = &[
    "not", "never", "no", "none", "nor", "neither", "without", "cannot", "nothing", "nobody", "nowhere", "hardly",
    "false", "forbidden", "untrue", "wrong", "undecided", "denied", "forbids", "prohibits", "refuses", "refused",
    "rejected", "non-goals", "non-goal", "prohibited", "against",
];

/// Words that make what follows a wish, a condition or somebody else's word.
pub(super) const HYPOTHETICALS: &[&str] = &[
    "if", "unless", "whether", "when", "once", "until", "before", "how", "what", "could", "would", "should", "might",
    "may", "must", "shall", "will", "can", "propose", "proposes", "proposed", "proposal", "candidate", "eligible",
    "hypothetical", "hypothetically", "suppose", "supposing", "assume", "assuming", "pretend", "pretends", "pretending",
    "want", "wants", "wish", "wishes", "planned", "intend", "intends", "goal", "aim", "consider",
    "considers", "considering", "ask", "asks", "asked", "request", "requests", "requested", "rather", "instead",
    "claim", "claims", "claimed", "says", "said", "say", "saying", "alleges", "alleged", "suggests", "suggest",
    "implies", "believes", "thinks", "example", "examples", "sentence", "phrase", "statement", "states", "who", "why-not",
    "hope", "hopes", "risk", "danger", "drift", "so-called", "requires", "require", "needs", "need", "to-be",
];

/// Words after a role or state that make it a condition.
pub(super) const CONDITIONS: &[&str] = &["if", "unless", "once", "only", "provided", "nowhere"];
/// The same after a state, which is then a rule of procedure.
pub(super) const PROCEDURE: &[&str] = &["when", "after", "until", "by", "nowhere", "through", "before"];

/// What may follow a role; another noun would make it a longer one.
pub(super) const AFTER_ROLE: &[&str] = &[
    "for", "in", "on", "of", "over", "from", "at", "now", "today", "here", "with", "and", "or", "as", "since", "to",
    "because", "again", "everywhere", "while", "when", "after", "until", "under", "across", "within", "too", "already",
    "if", "unless", "once", "only", "provided", "nowhere", "by", "is", "has", "which", "that", "so",
];

/// Verbs by which a document takes authority.
pub(super) const AUTHORIZES: &[&str] = &["authorizes", "authorises"];
pub(super) const HOLDS: &[&str] = &["has", "holds", "carries", "gains", "gained", "owns", "exercises"];

/// Words that part one claim from the next.
pub(super) const PARTS: &[&str] = &["but", "while", "whereas", "although", "though", "however", "yet"];

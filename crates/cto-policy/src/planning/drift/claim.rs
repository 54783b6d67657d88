//! Whether a sentence plainly claims authority: an engine, a verb, and a role or state that it does not have.

use std::collections::HashSet;

use cto_schema::DriftRules;

use super::tokens::{QUOTED, Token, starts, tokens};
use super::words::{
    AFTER_ROLE, AUTHORIZES, BE, COMMON, CONDITIONS, FILLERS, HAVE, HEADS, HOLDS, HYPOTHETICALS, MADE, MAKE, MAKES,
    NEGATORS, PARTS, PROCEDURE, SERVE, SPEAKERS,
};

/// The phrases of the rules, as words.
#[derive(Clone, Debug)]
pub(crate) struct Drift {
    subjects: Vec<Phrase>,
    roles: Vec<Phrase>,
    states: Vec<Phrase>,
    activations: Vec<Phrase>,
    /// The words with which a claim can begin: most words are none of them, and cost one look.
    openers: HashSet<String>,
}

#[derive(Clone, Debug)]
struct Phrase {
    words: Vec<String>,
    /// Counts only as a name: with a capital letter or as code.
    name: bool,
}

/// What is switched on by a value, and by which.
const ACTIVATIONS: &[&str] = &[
    "runtime default activation",
    "runtime_default_activation",
    "default activation",
    "core promotion",
    "core_promotion_status",
    "core promotion status",
];
const SWITCHED_ON: &[&str] = &[
    "true",
    "enabled",
    "active",
    "on",
    "complete",
    "completed",
    "granted",
    "approved",
    "done",
    "promoted",
    "finished",
    "effective",
    "given",
    "activated",
];
const HAPPENED: &[&str] = &["occurred", "happened", "succeeded", "completed"];

/// Longest parenthesis between commas that is stepped over.
const ASIDE_WORDS: usize = 6;

fn phrases(texts: &[impl AsRef<str>]) -> Vec<Phrase> {
    let mut all: Vec<Phrase> = texts
        .iter()
        .map(|text| Phrase {
            words: tokens(text.as_ref(), &[]).into_iter().map(|token| token.word).collect(),
            name: text.as_ref().starts_with(char::is_uppercase),
        })
        .filter(|phrase| !phrase.words.is_empty())
        .collect();
    // The longest first, so that `claude code` is not read as `claude`.
    all.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
    all
}

fn is(token: Option<&Token>, words: &[&str]) -> bool {
    token.is_some_and(|token| words.contains(&token.word.as_str()))
}

/// Where a claim was read: from where to where in a clause.
type Claimed = (usize, usize);

impl Drift {
    pub(crate) fn new(rules: &DriftRules) -> Self {
        let (subjects, roles) = (phrases(&rules.subjects), phrases(&rules.roles));
        let activations = phrases(ACTIVATIONS);
        let first = |phrase: &Phrase| phrase.words.first().cloned();
        let openers = subjects.iter().chain(&roles).chain(&activations).filter_map(first);
        let verbs = MAKE.iter().chain(MAKES).map(|word| (*word).to_owned());
        Self {
            openers: openers.chain(verbs).collect(),
            subjects,
            roles,
            states: phrases(&rules.states),
            activations,
        }
    }

    /// Returns where in a sentence a claim starts, as an offset in its text.
    pub(super) fn claim(&self, sentence: &[Token]) -> Option<usize> {
        if is(sentence.last(), &["?"]) {
            return None;
        }
        let mut start = 0;
        for end in 0..=sentence.len() {
            let parted = end == sentence.len() || parts(sentence, end);
            if parted {
                if let Some(at) = self.clause(&sentence[start..end]) {
                    return Some(at);
                }
                start = end + 1;
            }
        }
        None
    }

    fn clause(&self, clause: &[Token]) -> Option<usize> {
        let opens = |at: &usize| self.openers.contains(&clause[*at].word);
        for at in (0..clause.len()).filter(opens) {
            let claimed = self
                .subject_is(clause, at)
                .or_else(|| self.role_is(clause, at))
                .or_else(|| self.somebody_makes(clause, at))
                .or_else(|| self.activation(clause, at));
            if let Some((from, to)) = claimed.filter(|(_, to)| !denied(&clause[..*to])) {
                let conditional = is(clause.get(to), CONDITIONS) || is(clause.get(to + 1), CONDITIONS);
                if !conditional {
                    return Some(clause[from].at);
                }
            }
        }
        None
    }

    fn phrase_at(phrases: &[Phrase], clause: &[Token], at: usize) -> Option<usize> {
        let fits = |phrase: &&Phrase| starts(clause, at, &phrase.words) && (!phrase.name || clause[at].name);
        phrases.iter().find(fits).map(|phrase| at + phrase.words.len())
    }

    /// An engine by its name, with a noun that does not change it; returns where it ends.
    fn subject(&self, clause: &[Token], at: usize, label: bool) -> Option<usize> {
        let anyhow = |phrase: &&Phrase| starts(clause, at, &phrase.words);
        let end = if label {
            self.subjects.iter().find(anyhow).map(|phrase| at + phrase.words.len())
        } else {
            Self::phrase_at(&self.subjects, clause, at)
        }
        .or_else(|| {
            // `the case engine` in lower case means the engine as well.
            let named = self.subjects.iter().find(anyhow)?;
            let end = at + named.words.len();
            is(clause.get(end), &["engine"]).then_some(end)
        })?;
        let before = at.checked_sub(1).and_then(|before| clause.get(before));
        if is(before, COMMON)
            && !self
                .subjects
                .iter()
                .any(|phrase| starts(clause, at, &phrase.words) && phrase.words.len() > 1)
        {
            return None;
        }
        let end = if is(clause.get(end), HEADS) { end + 1 } else { end };
        Some(close_bracket(clause, end))
    }

    /// A role and nothing that would make it another; returns where it ends.
    fn role(&self, clause: &[Token], at: usize) -> Option<usize> {
        let fits = |phrase: &&Phrase| {
            let end = at + phrase.words.len();
            let after = clause.get(end);
            let ends = after.is_none_or(|token| {
                AFTER_ROLE.contains(&token.word.as_str()) || !token.word.starts_with(char::is_alphanumeric)
            });
            starts(clause, at, &phrase.words) && ends && !is(after, &[QUOTED])
        };
        self.roles.iter().find(fits).map(|phrase| at + phrase.words.len())
    }

    fn state(&self, clause: &[Token], at: usize) -> Option<usize> {
        let end = Self::phrase_at(&self.states, clause, at)?;
        (!is(clause.get(end), PROCEDURE)).then_some(end)
    }

    /// `Case is the default backend`, `Case has been promoted`, `Codex has authority`.
    fn subject_is(&self, clause: &[Token], at: usize) -> Option<Claimed> {
        let subject = self.subject(clause, at, false)?;
        let verb = fillers(clause, aside(clause, subject));
        let token = clause.get(verb)?;
        let word = token.word.as_str();
        if AUTHORIZES.contains(&word) {
            return Some((at, verb + 1));
        }
        if HOLDS.contains(&word) {
            let after = fillers(clause, verb + 1);
            if is(clause.get(after), &["authority"]) {
                return Some((at, after + 1));
            }
        }
        if matches!(word, "replaces" | "replaced" | "supersedes") {
            let places = verb + 1..(verb + 6).min(clause.len());
            let role = |place: usize| self.role(clause, fillers(clause, place + 1));
            return places
                .filter(|place| is(clause.get(*place), &["as"]))
                .find_map(role)
                .map(|end| (at, end));
        }
        after_verb(clause, verb).into_iter().find_map(|object| {
            let object = fillers(clause, aside(clause, object));
            let found = self.role(clause, object).or_else(|| self.state(clause, object));
            found.map(|end| (at, end))
        })
    }

    /// `The default backend is Case`, `Default backend: Case`.
    fn role_is(&self, clause: &[Token], at: usize) -> Option<Claimed> {
        let role = self.role(clause, at)?;
        let label = is(clause.get(role), &[":", "="]);
        let mut verb = role;
        if is(clause.get(role), &["for", "in", "of", "on"]) {
            // `for every run`: up to four words before the verb.
            let more = role + 1..(role + 6).min(clause.len());
            verb = more.clone().find(|place| is(clause.get(*place), BE))?;
        }
        let objects = if label {
            vec![role + 1]
        } else {
            after_verb(clause, verb)
        };
        objects.into_iter().find_map(|object| {
            let object = fillers(clause, aside(clause, object));
            self.subject(clause, object, true).map(|end| (at, end))
        })
    }

    /// `We made Case the default backend`, `They promoted Case to default engine`.
    fn somebody_makes(&self, clause: &[Token], at: usize) -> Option<Claimed> {
        let before = at.checked_sub(1).and_then(|before| clause.get(before));
        let base = is(clause.get(at), MAKE) && is(before, SPEAKERS);
        // `Case made by …` and `to be made` are no acts of somebody.
        let finite =
            is(clause.get(at), MAKES) && before.is_some() && !is(before, HAVE) && !is(before, &["be", "to", "the"]);
        if !base && !finite {
            return None;
        }
        let subject = self.subject(clause, fillers(clause, at + 1), false)?;
        let object = if is(clause.get(subject), &["as", "to", "into"]) {
            subject + 1
        } else {
            subject
        };
        self.role(clause, fillers(clause, object)).map(|end| (at, end))
    }

    /// `Runtime default activation is true`, `Core promotion has occurred`.
    fn activation(&self, clause: &[Token], at: usize) -> Option<Claimed> {
        let what = Self::phrase_at(&self.activations, clause, at)?;
        if is(clause.get(what), HAPPENED) {
            return Some((at, what + 1));
        }
        let value = if is(clause.get(what), &[":", "="]) {
            what + 1
        } else if is(clause.get(what), &["is", "was", "has", "became", "becomes"]) {
            what + 1 + usize::from(is(clause.get(what + 1), &["been"]))
        } else {
            return None;
        };
        let value = fillers(clause, value);
        let on = is(clause.get(value), SWITCHED_ON) || is(clause.get(value), HAPPENED);
        on.then_some((at, value + 1))
    }
}

/// Where a clause ends: a conjunction that opposes, or `, and`, or `, so`.
fn parts(sentence: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| sentence.get(before));
    is(sentence.get(at), PARTS)
        || is(sentence.get(at), &["—", "–", "…"])
        || (is(sentence.get(at), &["and", "so"]) && is(before, &[","]))
}

/// Returns where the object of a verb may start: after `is`, `serves as`, `has been made`, `was chosen as`.
fn after_verb(clause: &[Token], at: usize) -> Vec<usize> {
    let verb = clause.get(at);
    if is(verb, SERVE) {
        let next = fillers(clause, at + 1);
        return if is(clause.get(next), &["as"]) {
            vec![next + 1]
        } else {
            vec![]
        };
    }
    if !is(verb, BE) && !is(verb, HAVE) {
        return vec![];
    }
    let mut next = fillers(clause, at + 1);
    let been = is(clause.get(next), &["been"]);
    if been {
        next = fillers(clause, next + 1);
    }
    if !is(clause.get(next), MADE) {
        // `was the default` is over, and claims nothing about now.
        return if is(verb, BE) || been { vec![next] } else { vec![] };
    }
    let made = fillers(clause, next + 1);
    let mut objects = vec![made + usize::from(is(clause.get(made), &["as", "to"]))];
    // `is promoted`: the participle is the state itself.
    if is(clause.get(next), &["promoted"]) {
        objects.push(next);
    }
    objects
}

fn fillers(clause: &[Token], mut at: usize) -> usize {
    while is(clause.get(at), FILLERS) {
        at += 1;
    }
    at
}

/// Steps over `, as of today,`.
fn aside(clause: &[Token], at: usize) -> usize {
    let at = fillers(clause, at);
    if !is(clause.get(at), &[","]) {
        return at;
    }
    let close = (at + 1..(at + 2 + ASIDE_WORDS).min(clause.len())).find(|place| is(clause.get(*place), &[","]));
    close.map_or(at, |close| close + 1)
}

/// Steps over `(ca)`.
fn close_bracket(clause: &[Token], at: usize) -> usize {
    if !is(clause.get(at), &["("]) {
        return at;
    }
    let close = (at + 1..(at + 1 + ASIDE_WORDS).min(clause.len())).find(|place| is(clause.get(*place), &[")"]));
    close.map_or(at, |close| close + 1)
}

/// Whether words before the end of a claim deny it or make it hypothetical.
pub(super) fn denied(words: &[Token]) -> bool {
    words.iter().enumerate().any(|(at, token)| {
        let word = token.word.as_str();
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let after = words.get(at + 1);
        // `no doubt` and `not only` deny nothing.
        if matches!(word, "no" | "without") && is(after, &["doubt", "question"])
            || word == "not" && is(after, &["only"])
        {
            return false;
        }
        // `The decision of those who can …`: a name that is also a verb (May, Will) has a capital letter inside a sentence.
        let name = token.name && before.is_some();
        let hypothetical = HYPOTHETICALS.contains(&word) && !(name && matches!(word, "may" | "will"));
        NEGATORS.contains(&word) || word.ends_with("n't") || word.starts_with("non-") || hypothetical
    })
}

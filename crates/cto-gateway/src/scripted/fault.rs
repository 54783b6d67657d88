//! Faults of a hosted model, by name, and when each is produced.

use std::str::FromStr;

use super::script;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The credential is refused.
    Unauthorized,
    /// The model is not there.
    NotFound,
    /// Too many requests; `Retry-After` says one second.
    TooManyRequests,
    /// The upstream is broken.
    ServerError,
    /// Not even a header comes.
    Hang,
    /// Nothing comes after the middle of the answer.
    HangMidway,
    /// One byte a second.
    Slow,
    /// The connection breaks in the middle of the answer.
    Cut,
    /// Lines that are no events.
    MalformedStream,
    /// An event, or a document, that is not JSON.
    MalformedJson,
    /// All tokens went into reasoning.
    ReasoningOnly,
    /// An answer with nothing in it.
    Empty,
    /// The answer names another model.
    OtherModel,
    /// The arguments of a tool call end in the middle.
    TruncatedArguments,
    /// A small body that becomes a gigabyte.
    GzipBomb,
    /// Events for ever.
    Endless,
    /// One event of 32 MiB.
    HugeEvent,
    /// A redirect to another path.
    Redirect,
    /// A page for people, with status 200.
    Html,
    /// `Content-Length` promises more than comes.
    WrongLength,
    /// The answer repeats the credential that came with the request.
    EchoCredential,
}

impl Fault {
    /// Every fault with its name and what it does.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Unauthorized, "401", "refuses the credential"),
        (Self::NotFound, "404", "knows no such model"),
        (Self::TooManyRequests, "429", "asks to come back in a second"),
        (Self::ServerError, "500", "is broken"),
        (Self::Hang, "hang", "sends not even a header"),
        (Self::HangMidway, "hang-midway", "stops in the middle of the answer"),
        (Self::Slow, "slow", "sends one byte a second"),
        (Self::Cut, "cut", "breaks the connection in the middle of the answer"),
        (Self::MalformedStream, "malformed-sse", "sends lines that are no events"),
        (Self::MalformedJson, "malformed-json", "sends what is not JSON"),
        (Self::ReasoningOnly, "reasoning-only", "spends all tokens on reasoning"),
        (Self::Empty, "empty", "answers nothing"),
        (Self::OtherModel, "other-model", "names another model in the answer"),
        (
            Self::TruncatedArguments,
            "truncated-arguments",
            "ends the arguments of a tool call in the middle",
        ),
        (
            Self::GzipBomb,
            "gzip-bomb",
            "sends a small body that becomes a gigabyte",
        ),
        (Self::Endless, "endless", "never stops"),
        (Self::HugeEvent, "huge-event", "sends one event of 32 MiB"),
        (Self::Redirect, "redirect", "points to another path"),
        (Self::Html, "html", "sends a page for people"),
        (Self::WrongLength, "wrong-length", "sends less than Content-Length says"),
        (
            Self::EchoCredential,
            "echo-credential",
            "repeats the credential that came with the request",
        ),
    ];

    /// Returns the fault's name.
    pub fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|(fault, ..)| *fault == self);
        row.map_or("", |(_, name, _)| name)
    }

    fn find(name: &str) -> Option<Self> {
        let row = Self::ALL.iter().find(|(_, found, _)| *found == name)?;
        Some(row.0)
    }
}

/// When a fault is produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At every call.
    Always,
    /// At this call of the server, counted from 1.
    Call(u64),
    /// At this turn of each conversation, counted from 1; whoever asks again gets it again.
    Turn(usize),
    /// At the first call of each conversation; whoever asks again gets the answer.
    Once,
}

/// A fault and when it is produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// When.
    pub when: When,
}

/// A name that no fault has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find a fault named '{0}'; it is NAME, NAME:N (the Nth call) or NAME:once")]
pub struct UnknownFault(String);

impl FromStr for FaultPlan {
    type Err = UnknownFault;

    /// Reads `NAME`, `NAME:N` or `NAME:once`.
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let unknown = || UnknownFault(text.chars().take(60).collect());
        let (name, when) = match text.split_once(':') {
            None => (text, When::Always),
            Some((name, "once")) => (name, When::Once),
            Some((name, number)) => match number.parse() {
                Ok(number) if number > 0 => (name, When::Call(number)),
                _ => return Err(unknown()),
            },
        };
        let fault = Fault::find(name).ok_or_else(unknown)?;
        Ok(Self { fault, when })
    }
}

/// What the name of a model asks for: `scripted-[SCRIPT][-FAULT][-at-TURN|-once]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) script: &'static str,
    pub(super) fault: Option<FaultPlan>,
}

impl Wanted {
    /// Reads a model's name. A name without the prefix asks for the plain fix; none for a name that nothing has.
    pub(super) fn of(model: &str) -> Option<Self> {
        let mut wanted = Self {
            script: "fix",
            fault: None,
        };
        let Some(rest) = model.strip_prefix("scripted-") else {
            return Some(wanted);
        };
        if rest.is_empty() || rest.ends_with('-') {
            return None;
        }
        let (rest, when) = split_when(rest);
        let named = script::NAMES.iter().map(|(name, _)| *name).find_map(|name| {
            let after = rest.strip_prefix(name)?;
            match after.strip_prefix('-') {
                Some(fault) => Some((name, fault)),
                None => after.is_empty().then_some((name, "")),
            }
        });
        let (script, fault) = named.unwrap_or(("fix", rest));
        wanted.script = script;
        if fault.is_empty() {
            return (when == When::Always).then_some(wanted);
        }
        wanted.fault = Some(FaultPlan {
            fault: Fault::find(fault)?,
            when,
        });
        Some(wanted)
    }
}

fn split_when(name: &str) -> (&str, When) {
    if let Some(rest) = name.strip_suffix("-once") {
        return (rest, When::Once);
    }
    if let Some((rest, turn)) = name.rsplit_once("-at-")
        && let Ok(turn) = turn.parse()
    {
        return (rest, When::Turn(turn));
    }
    (name, When::Always)
}

//! What a model says in one answer, before it is put into a wire format.

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Hexadecimal digits that every id of this answer is made of.
    pub(super) seed: String,
    /// The model that the answer names.
    pub(super) model: String,
    pub(super) reasoning: Option<String>,
    pub(super) text: Option<String>,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: Finish,
    pub(super) usage: Usage,
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) input: ToolInput,
}

/// What a tool is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolInput {
    /// A JSON object, as text.
    Arguments(String),
    /// Free text.
    Freeform(String),
}

impl ToolInput {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Arguments(text) | Self::Freeform(text) => text,
        }
    }
}

/// Why the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    ToolCalls,
    Length,
}

/// Tokens, of which a script has as many as a quarter of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

impl Answer {
    /// Returns the id of part `number` of this answer, with a prefix.
    pub(super) fn id(&self, prefix: &str, number: usize) -> String {
        let seed = &self.seed[..self.seed.len().min(22)];
        format!("{prefix}{seed}{number:02}")
    }

    /// Counts the tokens of what is said; to be called when nothing changes any more.
    pub(super) fn count(&mut self) {
        let tokens = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(4);
        let said = self.text.as_ref().map_or(0, String::len);
        let called: usize = self.calls.iter().map(|call| call.input.text().len()).sum();
        self.usage.reasoning = tokens(self.reasoning.as_ref().map_or(0, String::len));
        self.usage.output = tokens(said + called) + self.usage.reasoning;
    }
}

/// Splits text into the pieces in which it is streamed.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    const PIECE_BYTES: usize = 40;
    let mut pieces = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(PIECE_BYTES);
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

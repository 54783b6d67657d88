//! What a call used up: tokens as the response says them, money by the route's prices.

use crate::json::Json;
use crate::order::Price;
use crate::record::TokenUsage;

/// No count of tokens is larger; a larger one is a mistake or a lie.
const MOST_TOKENS: u64 = 1 << 40;

fn count(object: &Json<'_>, key: &str) -> Option<u64> {
    object.whole(key).filter(|tokens| *tokens <= MOST_TOKENS)
}

/// A count that may be absent or null, but not wrong.
fn optional(object: Option<&Json<'_>>, key: &str) -> Option<u64> {
    match object.and_then(|object| object.some(key)) {
        None => Some(0),
        Some(_) => object.and_then(|object| count(object, key)),
    }
}

/// Reads the object `usage` of an OpenAI response, of either kind.
pub(crate) fn of_openai(usage: &Json<'_>) -> Option<TokenUsage> {
    let input = count(usage, "prompt_tokens").or_else(|| count(usage, "input_tokens"))?;
    let output = count(usage, "completion_tokens").or_else(|| count(usage, "output_tokens"))?;
    let inputs = usage
        .some("prompt_tokens_details")
        .or_else(|| usage.some("input_tokens_details"));
    let outputs = usage
        .some("completion_tokens_details")
        .or_else(|| usage.some("output_tokens_details"));
    Some(TokenUsage {
        input,
        cached_input: optional(inputs, "cached_tokens")?.min(input),
        output,
        reasoning: optional(outputs, "reasoning_tokens")?,
    })
}

/// Reads the object `usage` of an Anthropic response over what an earlier event of the same message said.
pub(crate) fn of_anthropic(usage: &Json<'_>, before: Option<TokenUsage>) -> Option<TokenUsage> {
    let output = count(usage, "output_tokens")?;
    if let (Some(before), None) = (before, usage.some("input_tokens")) {
        return Some(TokenUsage { output, ..before });
    }
    let cached_input = optional(Some(usage), "cache_read_input_tokens")?;
    let written = optional(Some(usage), "cache_creation_input_tokens")?;
    Some(TokenUsage {
        input: count(usage, "input_tokens")? + cached_input + written,
        cached_input,
        output,
        reasoning: 0,
    })
}

/// The most that a call is expected to use up: a token is a byte at least. `None` where its answer has no limit.
pub(crate) fn at_most(request_bytes: u64, most_output: Option<u64>) -> Option<TokenUsage> {
    most_output.map(|output| TokenUsage {
        input: request_bytes,
        cached_input: 0,
        output,
        reasoning: 0,
    })
}

/// No call has no input: a usage that says so is one that was not counted.
pub(crate) fn believable(usage: TokenUsage) -> Option<TokenUsage> {
    (usage.input > 0).then_some(usage)
}

/// The price of a call in millionths of a US dollar, rounded up.
pub(crate) fn cost(usage: TokenUsage, price: Price) -> u64 {
    let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
    let fresh = usage.input.saturating_sub(usage.cached_input);
    let sum = part(fresh, price.input)
        .saturating_add(part(usage.cached_input, price.cached_input))
        .saturating_add(part(usage.output, price.output));
    u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What is set against the budget when a response does not say: a token for every four bytes, more than it will be.
pub(crate) fn estimate(request_bytes: u64, response_bytes: u64) -> TokenUsage {
    TokenUsage {
        input: request_bytes.div_ceil(4),
        cached_input: 0,
        output: response_bytes.div_ceil(4),
        reasoning: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{cost, of_anthropic, of_openai};
    use crate::json::Json;
    use crate::order::Price;
    use crate::record::TokenUsage;

    #[test]
    fn counts_that_are_negative_missing_or_no_numbers_are_no_usage() {
        for bad in [
            r#"{"prompt_tokens":-1,"completion_tokens":2}"#,
            r#"{"prompt_tokens":1.5,"completion_tokens":2}"#,
            r#"{"prompt_tokens":"1","completion_tokens":2}"#,
            r#"{"prompt_tokens":1}"#,
            r#"{"prompt_tokens":1,"completion_tokens":99999999999999999}"#,
            r#"{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-4}}"#,
            "[]",
        ] {
            let usage = Json::read(bad.as_bytes()).unwrap();
            assert_eq!(of_openai(&usage), None, "{bad}");
        }
    }

    #[test]
    fn cached_input_counts_as_input() {
        let text =
            br#"{"input_tokens":5,"cache_read_input_tokens":20,"cache_creation_input_tokens":3,"output_tokens":1}"#;
        let start = of_anthropic(&Json::read(text).unwrap(), None).unwrap();
        assert_eq!((start.input, start.cached_input), (28, 20));
        let delta = Json::read(br#"{"output_tokens":40}"#).unwrap();
        let end = of_anthropic(&delta, Some(start)).unwrap();
        assert_eq!((end.input, end.output), (28, 40));
    }

    #[test]
    fn money_is_rounded_up_and_never_overflows() {
        let price = Price {
            input: 3_000_000,
            cached_input: 300_000,
            output: 15_000_000,
        };
        let usage = TokenUsage {
            input: 1000,
            cached_input: 400,
            output: 1,
            reasoning: 0,
        };
        assert_eq!(cost(usage, price), 600 * 3 + 120 + 15);
        let huge = TokenUsage {
            input: u64::MAX,
            output: u64::MAX,
            ..usage
        };
        assert_eq!(
            cost(
                huge,
                Price {
                    input: u64::MAX,
                    ..price
                }
            ),
            u64::MAX
        );
    }
}

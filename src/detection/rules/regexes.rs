//! Regular expressions of rules: what they take, before they are compiled for good.
//!
//! Ten bytes such as `\w{200}` become megabytes, since `\w` is any letter of any script. A parsed rule goes in; it is
//! refused where its expressions, or those of all rules so far, would take too much.

use regex::RegexBuilder;
use rsigma_parser::{Detection, Detections, Modifier, SigmaValue};

/// The most bytes of one compiled expression.
const MOST_OF_ONE: usize = 4 * 1024 * 1024;

/// The most bytes of all compiled expressions together.
const MOST_OF_ALL: usize = 128 * 1024 * 1024;

/// Sizes that are tried, to learn which of them is enough.
const TRIED: [usize; 5] = [4 * 1024, 32 * 1024, 256 * 1024, 1024 * 1024, MOST_OF_ONE];

/// What one wildcard takes, and one other character beside it.
const WILDCARD: usize = 512;
const CHARACTER: usize = 64;

/// What the expressions of all rules take so far.
#[derive(Default)]
pub(super) struct Regexes {
    taken: usize,
}

impl Regexes {
    /// Counts those of one rule; errs where they are too many or one is too large. What is no expression at all is told
    /// when the rule is compiled.
    pub(super) fn admit(&mut self, detections: &Detections) -> Result<(), String> {
        detections
            .named
            .values()
            .try_for_each(|detection| self.detection(detection))
    }

    fn detection(&mut self, detection: &Detection) -> Result<(), String> {
        match detection {
            Detection::AllOf(items) => items.iter().try_for_each(|item| {
                let is_expression = item.field.modifiers.contains(&Modifier::Re);
                self.values(&item.values, is_expression)
            }),
            Detection::AnyOf(parts) | Detection::And(parts) => {
                parts.iter().try_for_each(|part| self.detection(part))
            }
            Detection::Keywords(values) => self.values(values, false),
            Detection::ArrayMatch { body, .. } => self.detection(body),
            Detection::Conditional { named, .. } => {
                named.values().try_for_each(|part| self.detection(part))
            }
        }
    }

    fn values(&mut self, values: &[SigmaValue], are_expressions: bool) -> Result<(), String> {
        for value in values {
            let SigmaValue::String(text) = value else {
                continue;
            };
            let size = if are_expressions {
                size(&text.original)?
            } else {
                of_wildcards(&text.original)
            };
            self.taken = self.taken.saturating_add(size);
            if self.taken > MOST_OF_ALL {
                return Err(format!(
                    "with it the regular expressions and wildcards of all rules take more than {MOST_OF_ALL} bytes: use \
                     `contains`, `startswith` or `endswith`, or fewer repetitions"
                ));
            }
        }
        Ok(())
    }
}

/// The first of the sizes that is enough.
fn size(expression: &str) -> Result<usize, String> {
    // With the flags that modifiers may add: case takes most.
    let expression = format!("(?ims){expression}");
    for limit in TRIED {
        match RegexBuilder::new(&expression).size_limit(limit).build() {
            Err(regex::Error::CompiledTooBig(_)) => {}
            Ok(_) | Err(_) => return Ok(limit),
        }
    }
    Err(format!(
        "a regular expression of it takes more than {MOST_OF_ONE} bytes: use fewer repetitions, or `[A-Za-z0-9_]` for `\\w`"
    ))
}

/// Wildcards within a text make it an expression; at its ends alone they do not.
fn of_wildcards(text: &str) -> usize {
    let inner = text.trim_matches('*');
    if !inner.contains(['*', '?']) {
        return 0;
    }
    let wildcards = inner.bytes().filter(|byte| b"*?".contains(byte)).count();
    wildcards * WILDCARD + (inner.len() - wildcards) * CHARACTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_count_what_they_take_and_wildcards_within() {
        assert_eq!(size("^arn:aws:iam::[0-9]{12}:role/"), Ok(4 * 1024));
        assert_eq!(size("a"), Ok(4 * 1024));
        assert_eq!(size("("), Ok(4 * 1024), "told when it is compiled");
        assert!(size(r"\w{2000}").unwrap_err().contains("4194304 bytes"));
        assert_eq!(of_wildcards("*terraform*"), 0);
        assert_eq!(of_wildcards("a*b"), 512 + 2 * 64);
        assert_eq!(of_wildcards(&"?".repeat(1000)), 512_000);
    }
}

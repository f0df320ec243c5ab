//! Selections that only ask whether facts are equal to given values, answered without the rule engine.
//!
//! Nearly every condition of the severity model and the catalogue is made of such. In flows a parsed selection; out flow
//! equalities, where it is nothing else. The engine's meaning is kept: case does not count, a list holds what one of its
//! members holds, and what is absent is equal to nothing. Where that would take more than comparing ASCII letters there
//! is no answer here, and the engine gives it. A property test holds the two equal.

use rsigma_parser::{Detection, DetectionItem, SigmaValue};

use super::facts::{Fact, Facts, NAMES};
use super::sigma::PREFIX;

/// A fact, and the values one of which it must have.
pub(super) struct FactEquality {
    /// The fact's name, without its prefix.
    fact: &'static str,
    values: Values,
}

enum Values {
    Texts(Vec<String>),
    Truth(bool),
}

/// What a selection asks for, if it only compares facts.
pub(super) fn equalities(detection: &Detection) -> Option<Vec<FactEquality>> {
    let Detection::AllOf(items) = detection else {
        return None;
    };
    items.iter().map(equality).collect()
}

fn equality(item: &DetectionItem) -> Option<FactEquality> {
    let name = item.field.name.as_deref()?.strip_prefix(PREFIX)?;
    let fact = NAMES.into_iter().find(|known| *known == name)?;
    if !item.field.modifiers.is_empty() {
        return None;
    }
    let values = match item.values.as_slice() {
        [SigmaValue::Bool(truth)] => Values::Truth(*truth),
        values => Values::Texts(values.iter().map(text).collect::<Option<_>>()?),
    };
    Some(FactEquality { fact, values })
}

/// A value that is compared letter by letter.
fn text(value: &SigmaValue) -> Option<String> {
    let SigmaValue::String(text) = value else {
        return None;
    };
    text.as_plain()
        .filter(|text| text.is_ascii() && !text.is_empty())
}

/// Whether all hold; none where the engine must say.
pub(super) fn all_hold(equalities: &[FactEquality], facts: &Facts<'_>) -> Option<bool> {
    for equality in equalities {
        let Some(fact) = facts.fact(equality.fact) else {
            return Some(false);
        };
        let holds = match (&equality.values, fact) {
            (Values::Truth(want), Fact::Truth(is)) => *want == is,
            (Values::Texts(wanted), Fact::Text(is)) if is.is_ascii() => is_one_of(is, wanted),
            (Values::Texts(wanted), Fact::Texts(are)) => are.iter().any(|is| is_one_of(is, wanted)),
            _ => return None,
        };
        if !holds {
            return Some(false);
        }
    }
    Some(true)
}

fn is_one_of(is: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|want| want.eq_ignore_ascii_case(is))
}

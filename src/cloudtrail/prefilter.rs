//! Rejects, without parsing, what no rule can want.
//!
//! Exact: it never rejects a record that parsing and the rules would have matched.

/// The literals that the loaded rules require, ready to be searched for.
#[derive(Debug)]
pub struct Prefilter {
    literals: Vec<String>,
}

impl Prefilter {
    /// A prefilter that lets through what contains at least one of `literals`; `None` (some rule requires none)
    /// lets everything through.
    #[must_use]
    pub fn new(literals: Option<&[String]>) -> Self {
        Self {
            literals: literals.unwrap_or_default().to_vec(),
        }
    }

    /// Whether a rule could match a record in this JSON text. False is certain, true is not.
    #[must_use]
    pub fn may_match(&self, json: &[u8]) -> bool {
        self.literals
            .iter()
            .any(|literal| memchr::memmem::find(json, literal.as_bytes()).is_some())
    }

    /// Whether the whole payload is plainly one record in CloudTrail's own key order that no rule can want: the
    /// shortest way for the commonest message. False says nothing.
    #[must_use]
    pub fn is_one_ignored_record(&self, payload: &[u8]) -> bool {
        let _ = payload;
        false
    }
}

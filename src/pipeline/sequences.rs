//! Documents of sequences: what a record says together with others, by the same severity, remediation and formats.

use super::{NotSent, Outputs, Pipeline, dead_letter, read};
use crate::finding::{Finding, Sequence};
use crate::model::Level;

impl Pipeline {
    /// Writes the documents of a sequence, for the record that it is about, and says how severe it is. None where no rule
    /// finds that record any more, or a filter silences it: what is not told by itself is not told as a part either.
    ///
    /// What a topic does not take becomes a dead letter, as of any other record.
    pub fn complete(&self, sequence: &Sequence, out: &mut Outputs) -> Option<Level> {
        let step = sequence.about()?;
        let original = step.record.as_ref()?;
        let bytes = original.bytes()?;
        let raw = original.raw(&bytes, &step.source);
        let (origin, context) = (original.origin(&step.source), original.context());
        let mut repaired = None;
        // It was read before it became a step.
        let record = read(&bytes, &mut repaired).ok()?;
        let alone = self.detector.evaluate(&record, context)?.severity.level;
        let facts = Some(sequence.facts());
        let detection = self.detector.evaluate_with(&record, context, facts)?;
        let advice = self.catalogue.select(&record, &detection.facts);
        let finding =
            Finding::new(&record, detection, advice, &origin, &raw).of_sequence(sequence, alone);
        match self.write(&finding, raw.index, out) {
            Ok(()) => {}
            Err(NotSent::Unsendable(reason, error)) => {
                let index = Some(raw.index);
                out.dead_letter(dead_letter(reason, error, index, &bytes, &bytes));
            }
            Err(NotSent::Unreadable(_)) => return None,
        }
        Some(finding.level())
    }
}

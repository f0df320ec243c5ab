//! What several records are together, and what was missing for a sequence: the end of an explanation.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::terminal::{Colours, clean};
use crate::config::Config;
use crate::finding::{Sequence, Step};
use crate::model::{SequenceKind, Verdict};
use crate::pipeline::{Outputs, Pipeline};
use crate::sequence::{Missing, State, missing};

/// Sequences among the records that were explained.
pub(super) struct Together {
    /// Each with what its document says.
    found: Vec<(Sequence, Value)>,
    missing: Vec<Missing>,
}

impl Together {
    /// Finds what is complete among the steps, and says of the calls what they lack. `pipeline` has one route, which is native.
    pub(super) fn new(
        config: &Config,
        pipeline: &Pipeline,
        steps: &[Step],
        calls: &[Step],
    ) -> Self {
        let mut state = State::new(&config.sequences);
        let complete = steps.iter().flat_map(|step| state.step(step));
        let sequences: Vec<Sequence> = complete.collect();
        // What the record alone is silenced as, a sequence is too.
        let mut found = Vec::new();
        for sequence in &sequences {
            let mut out = Outputs::default();
            pipeline.complete(sequence, &mut out);
            let document = out.documents.first();
            if let Some(document) =
                document.and_then(|it| serde_json::from_slice::<Value>(&it.payload).ok())
            {
                found.push((sequence.clone(), document));
            }
        }
        let mut known: Vec<&str> = Vec::new();
        let mut distinct: Vec<Step> = Vec::new();
        for call in calls {
            if !known.contains(&call.event_id.as_str()) {
                known.push(&call.event_id);
                distinct.push(call.clone());
            }
        }
        let missing = if distinct.len() > 1 {
            missing(&distinct, &sequences)
        } else {
            // One record alone lacks everything, which says nothing.
            Vec::new()
        };
        Self { found, missing }
    }

    /// One object a sequence, and one for what is missing.
    pub(super) fn objects(&self) -> impl Iterator<Item = Value> {
        let found = self.found.iter().map(|(sequence, document)| {
            let ours = |key: &str| document.get("trailtag").and_then(|it| it.get(key));
            json!({
                "sequence": sequence,
                "severity": ours("severity"),
                "attack": ours("attack"),
                "risks": ours("risks"),
            })
        });
        let missing = self.missing.iter().map(|it| {
            json!({"no_sequence": it.kind.as_str(), "event_id": it.event_id, "because": it.why})
        });
        found.chain(missing)
    }

    /// The same for a person.
    pub(super) fn text(&self, colours: Colours) -> String {
        let mut text = String::new();
        for (_, document) in &self.found {
            text.push_str(&story(document, colours));
        }
        if !self.missing.is_empty() {
            let head = colours.bold("no sequence, because");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{head}");
            for it in &self.missing {
                let kind = format!("{:<22}", it.kind.as_str());
                let why = it.why.join("; ");
                let _ = writeln!(
                    text,
                    "  {kind}{}",
                    colours.dim(&clean(&format!("{}: {why}", it.event_id)))
                );
            }
            text.push('\n');
        }
        text
    }
}

/// The document of a sequence as a story: how severe, what happened, step by step, and why it counts.
pub(super) fn story(document: &Value, colours: Colours) -> String {
    let text_at = |value: &Value, pointer: &str| -> Option<String> {
        Some(value.pointer(pointer)?.as_str()?.to_owned())
    };
    let level = text_at(document, "/trailtag/severity/level");
    let level = level.as_deref().unwrap_or("unknown");
    let score = document
        .pointer("/trailtag/severity/score")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let badge = colours.level(level, &format!(" {} {score} ", level.to_uppercase()));
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(kind) = kind(document) {
        let meaning = match kind.verdict() {
            Verdict::Escalates => "worse than the record alone",
            Verdict::Settles => "settles the alarm",
        };
        let _ = writeln!(
            text,
            "{badge} {}: {meaning} {}",
            colours.bold(kind.title()),
            colours.dim(&format!("({})", kind.as_str()))
        );
    }
    let each = |pointer: &str| {
        let list = document.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let mut last = None;
    for step in each("/trailtag/sequence/steps") {
        let time = text_at(step, "/event_time").unwrap_or_default();
        let at = humantime::parse_rfc3339(&time).ok();
        let gap = at.zip(last).map(|(at, last)| at.duration_since(last));
        let later = gap.and_then(Result::ok).map(|gap| {
            let gap = humantime::format_duration(gap);
            format!(", {gap} later")
        });
        last = at;
        let role = text_at(step, "/role").map(|role| format!(" role {role},"));
        let or = |pointer: &str, unknown: &str| {
            text_at(step, pointer).unwrap_or_else(|| unknown.to_owned())
        };
        let line = format!(
            "{time}  {} {},{} instance profile {}, by {}{}",
            or("/event_name", "an event"),
            or("/outcome", "of unknown outcome"),
            role.unwrap_or_default(),
            or("/instance_profile", "unknown"),
            or("/actor", "somebody unknown"),
            later.unwrap_or_default(),
        );
        let _ = writeln!(text, "  {}", clean(&line));
    }
    let factors: Vec<String> = each("/trailtag/severity/factors")
        .map(|factor| {
            let id = text_at(factor, "/id").unwrap_or_default();
            let points = factor.get("points").and_then(Value::as_i64);
            format!("{id} {:+}", points.unwrap_or_default())
        })
        .collect();
    let _ = writeln!(
        text,
        "  {} {}\n",
        colours.dim("why"),
        clean(&factors.join(", "))
    );
    text
}

/// Which sequence a document tells; none if it tells of its record alone.
pub(super) fn kind(document: &Value) -> Option<SequenceKind> {
    let name = document.pointer("/trailtag/sequence/kind")?.as_str()?;
    SequenceKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == name)
}

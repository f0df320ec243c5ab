//! `trailtag explain`: why a record has the severity that it has. What `run` would make of it, by the same code, with
//! every rule and factor beside it and what in the record decided each.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::terminal::{Colours, clean, json_for_terminal};
use super::together::Together;
use super::{Completion, ConfigFile, Failure, payloads, pipeline_with_notes, print, wants_colour};
use crate::cloudtrail::record::Record;
use crate::config::Route;
use crate::detection::explain::{Explanation, FactorTrace, RuleTrace, Trace};
use crate::finding::{Finding, Step};
use crate::model::Level;
use crate::model::Origin;
use crate::pipeline::{Explained, Outputs, Pipeline};

/// How many rules that did not match are told one by one, in text.
const MOST_RULES: usize = 8;

/// How much of a request is told, in text.
const MOST_PARTS: usize = 6;
const MOST_LETTERS: usize = 128;

/// `trailtag explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each FILE, or standard input, is one message payload, as for `process`: a record, or a message that contains records. \
If no rule matched in any record, the first one is shown. Several records are also explained together: which sequences \
they are (docs/sequences.md), or what was missing for one.

Examples:
  trailtag explain record.json
  trailtag explain --config trailtag.yaml record.json
  trailtag explain remove.json add.json
  trailtag generate --match-rate 1 --records 1 | trailtag explain --format json | jq .severity")]
pub struct Explain {
    /// The files with the records; - or none: standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
    /// Text to read, or one JSON object per record, one per line
    #[arg(long, value_enum, default_value_t)]
    format: ExplainFormat,
    #[command(flatten)]
    config: ConfigFile,
}

/// The form of the explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ExplainFormat {
    /// Text to read
    #[default]
    Text,
    /// One JSON object per record, one per line
    Json,
}

impl Explain {
    /// Explains.
    pub fn run(self) -> Result<Completion, Failure> {
        let mut config = self.config.load()?;
        // Of sequences, the documents are read again here.
        config.routes = vec![Route::default()];
        let pipeline = pipeline_with_notes(&config)?.collecting_steps();
        let colours = Colours(self.format == ExplainFormat::Text && wants_colour());
        let mut told = Told::default();
        let mut origins = Vec::new();
        for file in &self.files {
            let (topic, payload) = payloads::whole(file, config.input.max_decoded_bytes)?;
            self.payload(&pipeline, &topic, &payload, colours, &mut told);
            origins.push(topic);
        }
        let Told {
            mut found,
            ignored,
            others,
            many,
            steps,
            calls,
        } = told;
        if many == 0
            && let Some(first) = ignored.first()
        {
            found.push_str(first);
        }
        let together = Together::new(&config, &pipeline, &steps, &calls);
        if self.format == ExplainFormat::Text {
            let more = ignored.len() - usize::from(many == 0 && !ignored.is_empty());
            if more > 0 {
                // Writing to a string cannot fail.
                let _ = writeln!(found, "{more} more records, in which no rule matched");
            }
            found.push_str(&together.text(colours));
        } else {
            for object in together.objects() {
                found.push_str(&json_line(&object));
            }
        }
        print(&found)?;
        if many == 0 && ignored.is_empty() {
            let why = others.first().map_or("nothing in it", String::as_str);
            return Err(Failure::Unexplained {
                origin: origins.join(", "),
                why: why.to_owned(),
            });
        }
        Ok(Completion::Done)
    }

    /// Explains every record of one payload.
    fn payload(
        &self,
        pipeline: &Pipeline,
        topic: &str,
        payload: &[u8],
        colours: Colours,
        told: &mut Told,
    ) {
        let origin = Origin {
            topic,
            partition: 0,
            offset: 0,
            timestamp: None,
        };
        pipeline.explain(payload, &origin, &mut |explained| match explained {
            Explained::Record {
                record,
                explanation,
                finding,
                step,
            } => {
                told.calls.extend(step.cloned());
                let text = match self.format {
                    ExplainFormat::Json => json_line(&object(record, explanation, finding)),
                    ExplainFormat::Text => tree(record, explanation, finding, colours),
                };
                if finding.is_some() {
                    told.many += 1;
                    told.found.push_str(&text);
                } else {
                    told.ignored.push(text);
                }
            }
            Explained::Skipped(kind) => {
                let kind = kind.as_str();
                told.others
                    .push(format!("no record, but {kind}: it is skipped"));
            }
            Explained::Rejected(reason, error) => {
                told.others.push(format!("{}: {error}", reason.as_str()));
            }
        });
        let mut outputs = Outputs::default();
        pipeline.process(payload, &origin, &mut outputs);
        told.steps.append(&mut outputs.steps);
    }
}

/// What was told of all payloads.
#[derive(Default)]
struct Told {
    /// Of records that a rule matched.
    found: String,
    many: u64,
    /// Of the others.
    ignored: Vec<String>,
    /// Of what is no record.
    others: Vec<String>,
    steps: Vec<Step>,
    /// What could be a step if it had gone through.
    calls: Vec<Step>,
}

fn json_line(object: &Value) -> String {
    let json = json_for_terminal(object.to_string().into_bytes());
    format!("{}\n", String::from_utf8_lossy(&json))
}

/// The explanation for programs. What stands in documents too has the same name and form here.
fn object(
    record: &Record<'_>,
    explanation: &Explanation<'_>,
    finding: Option<&Finding<'_>>,
) -> Value {
    let mut object = json!({
        "matched": finding.is_some(),
        "event_name": record.text(&["eventName"]),
        "rules": explanation.rules,
    });
    if let (Some(finding), Some(members)) = (finding, object.as_object_mut()) {
        let detection = &finding.detection;
        let facts: serde_json::Map<String, Value> = detection.facts.known().collect();
        let items: Vec<Value> = finding
            .advice
            .items()
            .iter()
            .map(|item| {
                let (id, kind, title) = (item.id, item.kind, item.title);
                if item.queries.0.is_empty() {
                    return json!({"id": id, "kind": kind, "title": title});
                }
                json!({"id": id, "kind": kind, "title": title, "queries": item.queries})
            })
            .collect();
        members.extend([
            ("event_id".to_owned(), json!(detection.facts.event_id)),
            ("severity".to_owned(), json!(detection.severity)),
            ("factors".to_owned(), json!(explanation.factors)),
            ("attack".to_owned(), json!(detection.attack)),
            ("facts".to_owned(), Value::Object(facts)),
            (
                "insufficient".to_owned(),
                json!(detection.facts.insufficient),
            ),
            ("risks".to_owned(), json!(finding.advice.risks)),
            ("remediation".to_owned(), json!(items)),
        ]);
    }
    object
}

/// The explanation for a person.
fn tree(
    record: &Record<'_>,
    explanation: &Explanation<'_>,
    finding: Option<&Finding<'_>>,
    colours: Colours,
) -> String {
    let mut out = Tree {
        text: String::new(),
        colours,
    };
    let name = record
        .text(&["eventName"])
        .unwrap_or("a record without a name");
    let time = record.text(&["eventTime"]).unwrap_or_default();
    match finding {
        None => {
            out.line(&format!(
                "{} {}",
                out.colours.bold(&clean(name)),
                clean(time)
            ));
            out.line("no rule matches: it is ignored");
        }
        Some(finding) => {
            let severity = &finding.detection.severity;
            let level = severity.level.as_str();
            let badge = format!(" {} {} ", level.to_uppercase(), severity.score);
            out.line(&format!(
                "{} {} {}",
                colours.level(level, &badge),
                colours.bold(&clean(name)),
                clean(time)
            ));
            out.event(finding);
            out.score(explanation, finding);
        }
    }
    out.rules(&explanation.rules);
    if let Some(finding) = finding {
        out.attack(finding);
        out.missing(finding);
        out.advice(finding);
    }
    out.text.push('\n');
    out.text
}

/// The text of a tree as it grows.
struct Tree {
    text: String,
    colours: Colours,
}

impl Tree {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn head(&mut self, title: &str) {
        let title = self.colours.bold(title);
        self.line(&title);
    }

    /// One entry of a section: a mark, a name, and why.
    fn entry(&mut self, mark: &str, name: &str, why: &str) {
        self.line(&format!(
            "  {mark:>4}  {:<32}  {}",
            clean(name),
            self.colours.dim(&clean(why))
        ));
    }

    /// Who, what, from where and with what.
    fn event(&mut self, finding: &Finding<'_>) {
        let facts = &finding.detection.facts;
        let actor = &facts.actor;
        let who = actor
            .arn
            .or(actor.name)
            .or(actor.principal_id)
            .unwrap_or("not said");
        let mut notes: Vec<&str> = actor.kind.into_iter().collect();
        notes.extend(actor.access_key_id);
        self.row("who", &format!("{who} ({})", notes.join(", ")));
        if let Some(principal) = actor
            .principal_arn
            .as_deref()
            .filter(|arn| Some(*arn) != actor.arn)
        {
            self.row("as", principal);
        }
        let behind: Vec<String> = actor
            .federation
            .said()
            .map(|(name, said)| format!("{name} {said}"))
            .collect();
        if !behind.is_empty() {
            self.row("behind", &behind.join(", "));
        }
        let target = &facts.target;
        if let Some(what) = what(finding) {
            self.row("what", &what);
        }
        self.row(
            "where",
            &format!(
                "account {}, region {}, partition {}",
                target.account.unwrap_or("not said"),
                target.region.unwrap_or("not said"),
                target.partition
            ),
        );
        if !target.instance_ids.is_empty() {
            let more = match target.more_instances {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let ids = target.instance_ids.join(", ");
            self.row("affects", &format!("{ids}{more}"));
        }
        self.row("from", facts.client.address.unwrap_or("not said"));
        if let Some(service) = facts.client.via_service {
            self.row("through", &format!("{service}, on the caller's behalf"));
        }
        let agent = finding.record.text(&["userAgent"]);
        self.row("with", agent.unwrap_or("not said"));
        let error = facts
            .error
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        self.row("outcome", &format!("{}{error}", facts.outcome.as_str()));
    }

    fn row(&mut self, name: &str, value: &str) {
        self.line(&format!(
            "  {} {}",
            self.colours.dim(&format!("{name:<8}")),
            clean(value)
        ));
    }

    /// The sum, and what did not go into it.
    fn score(&mut self, explanation: &Explanation<'_>, finding: &Finding<'_>) {
        let severity = &finding.detection.severity;
        self.head("score");
        let mut sum = 0_i64;
        for applied in &severity.factors {
            sum += i64::from(applied.points);
            let why = explanation
                .factors
                .iter()
                .find(|factor| factor.applies && factor.id == applied.id)
                .map_or_else(
                    || "what the level of the rule that weighs most begins with".to_owned(),
                    |factor| because(&factor.trace),
                );
            self.entry(&format!("{:+}", applied.points), applied.id, &why);
        }
        let clamped = sum.clamp(0, 100);
        let mut steps = format!("= {sum}");
        if clamped != sum {
            let _ = write!(steps, ", clamped to {clamped}");
        }
        if let Some(floor) = severity.floor {
            let _ = write!(
                steps,
                ", lifted to {} by the floor of {}",
                floor.score, floor.factor
            );
        }
        if let Some(cap) = severity.cap {
            let _ = write!(
                steps,
                ", lowered to {} by the cap of {}",
                cap.score, cap.factor
            );
        }
        let level = Level::from_score(severity.score);
        let _ = write!(
            steps,
            ": {} is {} to {}",
            level.as_str(),
            level.lowest(),
            level.highest()
        );
        self.line(&format!("  {}", clean(&steps)));
        for (kind, limits) in [
            ("floor", limits(&explanation.factors, |factor| factor.floor)),
            ("cap", limits(&explanation.factors, |factor| factor.cap)),
        ] {
            if !limits.is_empty() {
                self.line(&format!(
                    "  {kind}s that apply: {}",
                    clean(&limits.join(", "))
                ));
            }
        }
        self.head("did not apply");
        // Of one record alone nothing is known that they ask for.
        let is_of_sequences = |id: &str| id.starts_with("correlation.");
        let factors = explanation.factors.iter();
        for factor in factors.filter(|it| !it.applies && !is_of_sequences(it.id)) {
            let why = if factor.trace.holds {
                "an alternative before it applies".to_owned()
            } else {
                because(&factor.trace)
            };
            self.entry(&format!("{:+}", factor.points), factor.id, &why);
        }
    }

    fn rules(&mut self, rules: &[RuleTrace<'_>]) {
        self.head("rules");
        let (matched, others): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule.trace.holds);
        for rule in matched {
            let name = format!("{} ({})", rule.rule.title, rule.rule.level.as_str());
            self.entry("yes", &name, &because(&rule.trace));
        }
        for rule in others.iter().take(MOST_RULES) {
            self.entry("no", &rule.rule.title, &because(&rule.trace));
        }
        if let Some(more) = others
            .len()
            .checked_sub(MOST_RULES)
            .filter(|more| *more > 0)
        {
            self.entry(
                "no",
                &format!("{more} more rules"),
                "--format json tells of each",
            );
        }
    }

    fn attack(&mut self, finding: &Finding<'_>) {
        if finding.detection.attack.is_empty() {
            return;
        }
        self.head(&format!("ATT&CK v{}", finding.detection.attack_version));
        for technique in &finding.detection.attack {
            self.entry(
                "",
                technique.technique,
                &format!(
                    "{} ({})",
                    technique.name.unwrap_or_default(),
                    technique.tactic_name.unwrap_or("no tactic is said")
                ),
            );
        }
    }

    fn missing(&mut self, finding: &Finding<'_>) {
        let missing = &finding.detection.facts.insufficient;
        if !missing.is_empty() {
            self.head("what the record does not say");
            self.line(&format!("  {}", missing.join(", ")));
        }
    }

    fn advice(&mut self, finding: &Finding<'_>) {
        let advice = &finding.advice;
        if !advice.risks.is_empty() {
            self.head("risks");
            for risk in &advice.risks {
                self.entry("", risk.title, &risk.why);
            }
        }
        let items = advice.items();
        if !items.is_empty() {
            self.head("remediation");
            for item in &items {
                self.entry("", item.id, item.title);
            }
        }
    }
}

/// What the call was about: of a removal in words, of any other call what its request names, or else what is said beside it,
/// as of a sign-in. None where the record says nothing of it.
fn what(finding: &Finding<'_>) -> Option<String> {
    let record = finding.record;
    let target = &finding.detection.facts.target;
    if record.text(&["eventName"]) == Some("RemoveRoleFromInstanceProfile") {
        return Some(format!(
            "role {} out of instance profile {}",
            target.role.unwrap_or("not said"),
            target.instance_profile.unwrap_or("not said")
        ));
    }
    let mut parts: Vec<String> = [
        ("instance profile", target.instance_profile),
        ("role", target.role),
    ]
    .into_iter()
    .filter_map(|(what, name)| Some(format!("{what} {}", name?)))
    .collect();
    let told = |key: &str| ["instanceProfileName", "roleName"].contains(&key);
    for part in ["requestParameters", "additionalEventData"] {
        let fields = record.at(&[part]).and_then(Value::as_object);
        let said = fields.into_iter().flatten().filter_map(|(key, value)| {
            let value = match value {
                Value::String(text) if !text.is_empty() => shortened(text),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return None,
            };
            (!told(key)).then(|| format!("{key} {value}"))
        });
        parts.extend(said.take(MOST_PARTS));
        if !parts.is_empty() {
            break;
        }
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn shortened(text: &str) -> String {
    let mut letters = text.chars();
    let mut short: String = letters.by_ref().take(MOST_LETTERS).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

/// The limits of one kind that apply, each with its factor.
fn limits(factors: &[FactorTrace<'_>], of: impl Fn(&FactorTrace<'_>) -> Option<u8>) -> Vec<String> {
    factors
        .iter()
        .filter(|factor| factor.applies)
        .filter_map(|factor| Some(format!("{} of {}", of(factor)?, factor.id)))
        .collect()
}

/// What decided, in one line.
fn because(trace: &Trace) -> String {
    let reasons: Vec<String> = trace.because.iter().map(ToString::to_string).collect();
    if reasons.is_empty() {
        "always".to_owned()
    } else {
        reasons.join("; ")
    }
}

//! Is this record ours, how dangerous is it, and why.
//!
//! [`rules`] decide whether a record is ours; [`facts`] derives from it what conditions can test beyond its own fields;
//! [`severity`] adds up the factors that apply. The rule language and the factors' conditions are Sigma. Everything is
//! loaded once, by [`Detector::load`], which reads files; after that nothing here does I/O.

pub mod attack;
pub(crate) mod conditions;
pub mod explain;
mod fact_equality;
pub mod facts;
pub(crate) mod files;
pub(crate) mod lists;
pub mod outcome;
pub mod rules;
mod sections;
pub mod severity;
mod sigma;
pub mod time;
pub(crate) mod yaml_entry;

use crate::cloudtrail::envelope::RawRecord;
use crate::cloudtrail::record::{EventNames, Record};
use crate::config;
use crate::config::{OnBadRule, yaml};
use crate::model::fault::{Faults, Notes};
use crate::model::{Level, Origin};

use attack::{AttackVersion, Technique};
use explain::{Explanation, FactorTrace};
use facts::{Facts, SequenceFacts};
use files::NamedText;
use lists::Lists;
use rules::{Refusals, Rule, Rules, UnfilteredRule};
use severity::{Severity, SeverityModel};

/// The rule that is always loaded: what this program is for.
const BASE_RULE: &str = include_str!("../../config/rules/remove_role_from_instance_profile.yml");
const BASE_RULE_NAME: &str = "built-in config/rules/remove_role_from_instance_profile.yml";
const SEVERITY: &str = include_str!("../../config/severity.yaml");
const SEVERITY_NAME: &str = "built-in config/severity.yaml";

/// What is known of a record's journey and bears on its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// The wrapper's own time in milliseconds since the epoch.
    pub envelope_time: Option<i64>,
    /// The Kafka message's time in milliseconds since the epoch.
    pub message_time: Option<i64>,
}

impl Context {
    /// What a record's message and wrapper say.
    #[must_use]
    pub const fn new(origin: &Origin<'_>, raw: &RawRecord<'_>) -> Self {
        Self {
            envelope_time: raw.envelope_time,
            message_time: origin.timestamp,
        }
    }
}

/// One matched record: the rules that matched, what was derived, and the score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection<'a> {
    /// The rules that matched, in the order in which they were loaded; at least one.
    pub rules: Vec<&'a Rule>,
    /// What was derived from the record.
    pub facts: Facts<'a>,
    /// How severe it is.
    pub severity: Severity<'a>,
    /// Techniques of ATT&CK that it is evidence of; none below level low.
    pub attack: Vec<Technique<'a>>,
    /// The version of ATT&CK whose ids and names these are.
    pub attack_version: u8,
}

/// The loaded rules, lists and severity model.
pub struct Detector {
    rules: Rules,
    lists: Lists,
    severity: SeverityModel,
    attack_version: AttackVersion,
    notes: Notes,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Detector")
            .field("rules", &self.rules.all())
            .finish_non_exhaustive()
    }
}

impl Detector {
    /// Loads the built-in rule, the user's rules and lists, and the severity model. Errs with everything that is wrong in
    /// any of them; rules that are wrong are left out, where the settings say so.
    pub fn load(settings: &config::Detection) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let path = settings.severity_file.as_path();
        let severity = if path.as_os_str().is_empty() {
            Some(NamedText {
                name: SEVERITY_NAME.to_owned(),
                text: SEVERITY.to_owned(),
            })
        } else {
            files::file(path, yaml::MAX_BYTES, &mut faults)
        };
        let mut rules = vec![NamedText {
            name: BASE_RULE_NAME.to_owned(),
            text: BASE_RULE.to_owned(),
        }];
        let files = files::rule_files(&settings.rules, &mut faults);
        rules.extend(files.read);
        let lists = Lists::load(settings, &mut faults);
        let attack_version = AttackVersion::from_number(settings.attack_version);
        let mut refusals = Refusals::of_files(files.unreadable);
        let rules = Rules::compile(&rules, attack_version, &mut refusals);
        let mut notes = Notes::default();
        match settings.on_bad_rule {
            OnBadRule::Refuse => faults.extend(refusals.faults),
            OnBadRule::Skip => {
                notes.skipped_rules = refusals.count();
                notes.skipped = refusals.faults;
            }
        }
        notes.warnings = refusals.warnings;
        let severity =
            severity.and_then(|file| SeverityModel::compile(&file.name, &file.text, &mut faults));
        let Some(severity) = severity else {
            return Err(faults);
        };
        notes.warnings.extend(severity.warnings().clone());
        faults.or(Self {
            rules,
            lists,
            severity,
            attack_version,
            notes,
        })
    }

    /// What should be known of the rules and the model, although they are in use.
    #[must_use]
    pub const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Values of `eventName`, or of `eventSource` for a rule that requires no name, of which a record must hold one for
    /// any rule to match; none when some rule can match without.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        self.rules.literals()
    }

    /// Every loaded rule, in the order in which it was loaded.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        self.rules.all()
    }

    /// How many examples the rules carry. All of them hold, or the rules had not been loaded.
    #[must_use]
    pub const fn examples(&self) -> usize {
        self.rules.examples()
    }

    /// The rules that require no `eventName`, in the order in which they were loaded: what they cost is that records
    /// must be parsed which no other rule wants.
    pub fn unfiltered_rules(&self) -> impl Iterator<Item = UnfilteredRule<'_>> {
        self.rules.unfiltered_rules()
    }

    /// Whether some rule could match a record of these names. False is certain, true is not.
    #[must_use]
    pub fn wants(&self, names: &EventNames<'_>) -> bool {
        self.rules.want(names)
    }

    /// What can be derived from a record, whether or not a rule matches it.
    #[must_use]
    pub fn facts<'a>(&'a self, record: &'a Record<'_>, context: Context) -> Facts<'a> {
        Facts::from_record(record, context, &self.lists)
    }

    /// What the rules and the model say of a record; none when no rule matches it.
    #[must_use]
    pub fn evaluate<'a>(
        &'a self,
        record: &'a Record<'_>,
        context: Context,
    ) -> Option<Detection<'a>> {
        self.evaluate_with(record, context, None)
    }

    /// The same of a record that says something together with others.
    #[must_use]
    pub fn evaluate_with<'a>(
        &'a self,
        record: &'a Record<'_>,
        context: Context,
        sequence: Option<SequenceFacts<'a>>,
    ) -> Option<Detection<'a>> {
        let rules = self.rules.matching(&record.value);
        let base = rules.iter().map(|rule| rule.base_score).max()?;
        let facts = Facts {
            sequence,
            ..self.facts(record, context)
        };
        let applying = self.severity.applying(&record.value, &facts);
        let severity = severity::add_up(base, applying.iter().copied());
        let attack = if severity.level < Level::Low {
            Vec::new()
        } else {
            attack::techniques(
                self.attack_version,
                &applying.iter().flat_map(|factor| &factor.attack).copied(),
                &rules.iter().map(|rule| &rule.attack),
            )
        };
        Some(Detection {
            rules,
            facts,
            severity,
            attack,
            attack_version: self.attack_version.number(),
        })
    }

    /// What [`Detector::evaluate`] says of a record, and why: it is called here, and its verdicts are the ones that are
    /// explained.
    #[must_use]
    pub fn explain<'a>(&'a self, record: &'a Record<'_>, context: Context) -> Explanation<'a> {
        let detection = self.evaluate(record, context);
        let factors = detection.as_ref().map_or_else(Vec::new, |detection| {
            let applying = self.severity.applying(&record.value, &detection.facts);
            self.severity
                .explain(&record.value, &detection.facts)
                .map(|(factor, trace)| FactorTrace {
                    id: &factor.id,
                    points: factor.points,
                    floor: factor.floor,
                    cap: factor.cap,
                    applies: applying.iter().any(|other| std::ptr::eq(*other, factor)),
                    trace,
                })
                .collect()
        });
        Explanation {
            detection,
            rules: self.rules.explain(&record.value),
            factors,
        }
    }
}

//! `trailtag check`: everything that is wrong with a configuration, at once, before anything runs.

use std::fmt::Write;

use clap::Args;

use super::terminal::clean;
use super::{Completion, ConfigFile, Failure, environment, in_one_line, print, runtime, told};
use crate::config::{Action, Config, Guarantee, Unusable};
use crate::kafka::preflight::{connect, sizes};
use crate::model::Origin;
use crate::pipeline::{Outputs, Pipeline};
use crate::synthetic::{Generator, Options, Shape};

/// How many synthetic records the rules are tried on.
const SAMPLE: usize = 1_000;

/// How often a rule is tried on a record at the most: with very many rules the sample is smaller, and takes seconds too.
const MOST_TRIALS: usize = 2_000_000;

/// How many of the rules that require no `eventName` are named.
const MOST_NAMED: usize = 100;

/// `trailtag check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints every error to standard error, one per line, and exits with 64; or prints a summary of the settings, and exits
with 0. A rule that requires no eventName is named, with how many synthetic records must be parsed for it.
A rule that tests a field that CloudTrail does not have is a warning, which --strict makes an error; so is a rule that is
left out because of detection.on_bad_rule: skip.
Secrets are never printed. --connect writes to no topic. It also compares the size limits of the topics; what will not
fit is a note that says what to set, not an error.

Examples:
  trailtag check --config trailtag.yaml
  trailtag check --config trailtag.yaml --connect")]
pub struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also ask the brokers: connection, login, topics and permissions
    #[arg(long)]
    connect: bool,
    /// Exit with 64 if there is a warning, or a rule is skipped
    #[arg(long)]
    strict: bool,
}

impl Check {
    /// Checks.
    pub fn run(self) -> Result<Completion, Failure> {
        let path = self.config.path();
        let (config, mut faults) = match Config::load_to_check(path, environment()) {
            Ok(config) => (config, Vec::new()),
            Err(Unusable {
                faults,
                config: Some(config),
            }) => (*config, vec![faults.to_string()]),
            Err(Unusable {
                faults,
                config: None,
            }) => return Err(Failure::Configuration(faults.to_string())),
        };
        let pipeline = Pipeline::from_config(&config);
        match &pipeline {
            Err(error) => faults.push(in_one_line(error)),
            Ok(pipeline) if self.strict => {
                faults.extend(told(pipeline.notes()).map(|(_, fault)| fault));
            }
            Ok(_) => {}
        }
        if self.connect {
            match connect::check(&config) {
                Ok(refused) => faults.extend(refused.iter().map(ToString::to_string)),
                Err(error) => faults.push(clean(&in_one_line(&error))),
            }
        }
        match pipeline {
            Ok(pipeline) if faults.is_empty() => {
                let mut text = summary(&config, &pipeline);
                if self.connect {
                    text.push_str(&size_notes(&config)?);
                }
                text.push_str(if self.connect {
                    "ok, and the brokers agree\n"
                } else {
                    "ok\n"
                });
                print(&text)?;
                Ok(Completion::Done)
            }
            _ => Err(Failure::Configuration(faults.join("\n"))),
        }
    }
}

/// What will not fit its topic: no fault, since it goes elsewhere or in parts.
fn size_notes(config: &Config) -> Result<String, Failure> {
    let notes = runtime()?.block_on(sizes::notes(config));
    let mut text = String::new();
    for note in notes.unwrap_or_else(|error| vec![in_one_line(&error)]) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<14}{}", "note", clean(&note));
    }
    Ok(text)
}

/// What is set, for a person. No secret is in it.
fn summary(config: &Config, pipeline: &Pipeline) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<14}{}", clean(value));
    };
    let protocol = config.kafka.security.protocol.as_str();
    line(
        "brokers",
        &format!("{} ({protocol})", config.kafka.bootstrap_servers.join(", ")),
    );
    line("group", &config.kafka.group_id);
    line("reads", &config.kafka.topics.join(", "));
    line(
        "guarantee",
        match config.delivery.guarantee {
            Guarantee::ExactlyOnce => "exactly_once",
            Guarantee::AtLeastOnce => "at_least_once",
        },
    );
    let (count, costs) = rules(config, pipeline);
    line("rules", &count);
    text.push_str(&costs);
    for (what, fault) in told(pipeline.notes()) {
        let _ = writeln!(text, "{what:<14}{}", clean(&fault));
    }
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<14}{}", clean(value));
    };
    for route in &config.routes {
        line(
            "route",
            &format!(
                "{}: {} to {}, {} and above",
                route.name,
                route.format.as_str(),
                route.topic,
                route.min_severity.as_str()
            ),
        );
    }
    line(
        "unmatched",
        &match config.unmatched.action {
            Action::Drop => "dropped".to_owned(),
            Action::Forward => format!("forwarded to {}", config.unmatched.topic),
        },
    );
    if !config.sequences.topic.is_empty() {
        line("sequences", &format!("steps in {}", config.sequences.topic));
    }
    line("dead letters", &config.dead_letter.topic);
    let tls = !config.http.tls.cert_file.as_os_str().is_empty();
    let token = !config.http.token_file.as_os_str().is_empty();
    line(
        "metrics",
        &format!(
            "http{}://{}/metrics{}",
            if tls { "s" } else { "" },
            config.http.listen,
            if token { " with a bearer token" } else { "" }
        ),
    );
    for note in config.http.notes() {
        line("note", &note);
    }
    text
}

/// How many rules there are, and in lines of their own what those cost that require no `eventName`.
fn rules(config: &Config, pipeline: &Pipeline) -> (String, String) {
    let detector = pipeline.detector();
    let mut text = detector.rules().len().to_string();
    let examples = detector.examples();
    if examples > 0 {
        let hold = if examples == 1 {
            "example holds"
        } else {
            "examples hold"
        };
        // Writing to a string cannot fail.
        let _ = write!(text, " ({examples} {hold})");
    }
    let skipped = pipeline.notes().skipped_rules;
    if skipped > 0 {
        let _ = write!(text, ", {skipped} skipped");
    }
    let mut lines = String::new();
    for unfiltered in detector.unfiltered_rules().take(MOST_NAMED) {
        let records = unfiltered.sources.map_or_else(
            || "every record".to_owned(),
            |sources| format!("every record of {}", clean(&sources.join(", "))),
        );
        let _ = writeln!(
            lines,
            "  rule {:?} requires no eventName: {records} is parsed",
            clean(&unfiltered.rule.title)
        );
    }
    let more = detector.unfiltered_rules().skip(MOST_NAMED).count();
    if more > 0 {
        let _ = writeln!(lines, "  so do {more} more rules");
    }
    if !lines.is_empty() {
        lines.push_str(&effect(config, pipeline));
    }
    (text, lines)
}

/// What the rules make of synthetic records, and what the built-in rule alone does: the same on every machine.
fn effect(config: &Config, pipeline: &Pipeline) -> String {
    let mut built_in = config.clone();
    built_in.detection.rules.clear();
    let Ok(built_in) = Pipeline::from_config(&built_in) else {
        return String::new();
    };
    let sample = SAMPLE.min(MOST_TRIALS / pipeline.rules().max(1));
    let (all, built_in) = (tried(pipeline, sample), tried(&built_in, sample));
    format!(
        "  of {sample} synthetic records: {} parsed, {} matched; with the built-in rule alone: {} parsed, {} matched\n",
        all.parsed, all.matched, built_in.parsed, built_in.matched
    )
}

/// How many records of a sample were parsed, and how many matched.
#[derive(Default)]
struct Tried {
    parsed: u64,
    matched: u64,
}

fn tried(pipeline: &Pipeline, sample: usize) -> Tried {
    let mut generator = Generator::new(&Options {
        seed: 1,
        match_rate: 0.001,
        shape: Shape::Record,
    });
    let origin = Origin {
        topic: "check",
        partition: 0,
        offset: 0,
        timestamp: None,
    };
    let mut outputs = Outputs::default();
    let mut payload = Vec::new();
    let mut counts = Tried::default();
    for _ in 0..sample {
        generator.write(1, &mut payload);
        counts.parsed += u64::from(pipeline.parses(&payload));
        counts.matched += pipeline.process(&payload, &origin, &mut outputs).matched;
        outputs.documents.clear();
        outputs.dead_letters.clear();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_set_and_no_secret() {
        let mut config = Config::default();
        config.kafka.security.sasl.password = "hunter2".into();
        let text = summary(&config, &Pipeline::from_config(&config).unwrap());
        assert!(!text.contains("hunter2"));
        insta::assert_snapshot!(text, @r"
        brokers       localhost:9092 (plaintext)
        group         trailtag
        reads         cloudtrail
        guarantee     exactly_once
        rules         1 (5 examples hold)
        route         findings: native to trailtag.findings, informational and above
        unmatched     dropped
        dead letters  trailtag.dead-letter
        metrics       http://0.0.0.0:9598/metrics
        ");
    }
}

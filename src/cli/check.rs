//! `trailtag check`: everything that is wrong with a configuration, at once, before anything runs.

use std::fmt::Write;

use clap::Args;

use super::{ConfigFile, Failure, Outcome, environment, in_one_line, print};
use crate::config::{Action, Config, Guarantee, Protocol};
use crate::kafka::connect;
use crate::pipeline::Pipeline;

/// `trailtag check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints every fault on standard error, one a line, and exits 64; or says what is set, and exits 0.
Secrets are never printed. --connect writes nothing to any topic.

Examples:
  trailtag check --config trailtag.yaml
  trailtag check --config trailtag.yaml --connect")]
pub struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also ask the brokers: do they answer, do the topics exist, are we permitted
    #[arg(long)]
    connect: bool,
}

impl Check {
    /// Checks.
    pub fn run(self) -> Result<Outcome, Failure> {
        let config = Config::load(self.config.path(), environment())
            .map_err(|faults| Failure::Configuration(faults.to_string()))?;
        let mut faults: Vec<String> = config.check().iter().map(ToString::to_string).collect();
        let pipeline = Pipeline::from_config(&config);
        if let Err(error) = &pipeline {
            faults.push(in_one_line(error));
        }
        if self.connect {
            match connect::check(&config) {
                Ok(complaints) => faults.extend(complaints.into_iter().map(|complaint| {
                    format!(
                        "{}: {}; {}",
                        complaint.key, complaint.message, complaint.hint
                    )
                })),
                Err(error) => faults.push(in_one_line(&error)),
            }
        }
        match pipeline {
            Ok(pipeline) if faults.is_empty() => {
                let mut text = summary(&config, pipeline.rules());
                text.push_str(if self.connect {
                    "ok, and the brokers agree\n"
                } else {
                    "ok\n"
                });
                print(&text)?;
                Ok(Outcome::Done)
            }
            _ => Err(Failure::Configuration(faults.join("\n"))),
        }
    }
}

/// What is set, for a person. No secret is in it.
fn summary(config: &Config, rules: usize) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<14}{value}");
    };
    let protocol = match config.kafka.security.protocol {
        Protocol::Plaintext => "plaintext",
        Protocol::Ssl => "ssl",
        Protocol::SaslPlaintext => "sasl_plaintext",
        Protocol::SaslSsl => "sasl_ssl",
    };
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
    line("rules", &rules.to_string());
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
    line("dead letters", &config.dead_letter.topic);
    line("metrics", &format!("http://{}/metrics", config.http.listen));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_set_and_no_secret() {
        let mut config = Config::default();
        config.kafka.security.sasl.password = "hunter2".into();
        let text = summary(&config, 3);
        assert!(!text.contains("hunter2"));
        insta::assert_snapshot!(text, @r"
        brokers       localhost:9092 (plaintext)
        group         trailtag
        reads         cloudtrail
        guarantee     exactly_once
        rules         3
        route         findings: native to trailtag.findings, informational and above
        unmatched     dropped
        dead letters  trailtag.dead-letter
        metrics       http://0.0.0.0:9598/metrics
        ");
    }
}

//! The commands: one file each. Arguments come in parsed, a [`Completion`] or a [`Failure`] goes out; only `main` turns
//! those into an exit code and a line on standard error.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config};
use crate::model::error::chain as in_one_line;
use crate::model::fault::Notes;
use crate::model::visible::{self, visible};
use crate::pipeline::Pipeline;

pub mod check;
mod dead_letters;
pub mod demo;
pub mod demo_view;
pub mod explain;
pub mod generate;
mod log_text;
mod payloads;
pub mod process;
pub mod run;
pub mod schema;
mod terminal;
mod together;

/// Finds RemoveRoleFromInstanceProfile in CloudTrail on Kafka, scores it, says what to do, and forwards it exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "trailtag",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  trailtag demo                                   try it: needs no Kafka and no configuration
  trailtag check --config trailtag.yaml --connect check the configuration and the brokers
  trailtag run --config trailtag.yaml             run the service
  zcat log.json.gz | trailtag process             print the findings in a file
  trailtag explain record.json                    explain the severity of a record

Exit codes:
   0  done
  64  bad configuration or arguments
  65  bad input: process --strict, or explain without a record
  70  fatal error at run time"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service: read CloudTrail from Kafka, forward findings
    #[command(after_help = "\
Runs until SIGTERM or SIGINT, then finishes and commits the work in flight within shutdown_grace.
Metrics and health are served on http.listen: /metrics, /livez, /readyz.

Examples:
  trailtag run --config trailtag.yaml
  TRAILTAG__KAFKA__GROUP_ID=blue trailtag run --config trailtag.yaml")]
    Run(run::Run),
    /// Run the service on a test cluster in this process: needs no Kafka, no configuration
    #[command(after_help = "\
Sends synthetic CloudTrail to a small cluster inside the process, runs the service on it, and prints the findings as they \
arrive. While it runs, metrics are at http://127.0.0.1:9598/metrics.

Examples:
  trailtag demo
  trailtag demo --records 0      run until Ctrl-C
  NO_COLOR=1 trailtag demo       without colours")]
    Demo(demo::Demo),
    /// Process files or standard input without Kafka; print one finding per line
    Process(process::Process),
    /// Explain the severity of a record: each rule and factor, and the field that decided it
    Explain(explain::Explain),
    /// Check a configuration, and with --connect the brokers, topics and permissions too
    Check(check::Check),
    /// Generate realistic synthetic CloudTrail, to standard output or to a topic
    Generate(generate::Generate),
    /// Print the JSON Schema of the configuration
    Schema(schema::Schema),
}

/// The configuration that a command works with.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file. Without it, only defaults and environment (TRAILTAG__KAFKA__GROUP_ID=…) apply
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

/// How a command ended, when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// All done.
    Done,
    /// Done, but some input could not be read, and `--strict` asked to be told.
    BadInput,
}

impl Completion {
    /// What the process exits with.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::BadInput => 65,
        }
    }
}

/// Why a command ended early. Each is for one person to act on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong: every fault, one a line.
    #[error("{0}")]
    Configuration(String),
    /// Arguments that cannot be followed.
    #[error("{}", visible(_0))]
    Arguments(String),
    /// A file that was named cannot be opened.
    #[error(
        "cannot open {}; check the name and the permissions",
        visible::path(path)
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A payload is longer than the program may hold.
    #[error(
        "{}: payload {number} exceeds input.max_decoded_bytes ({limit} bytes); raise it, or feed smaller payloads",
        visible(origin)
    )]
    TooLong {
        /// The file, or `stdin`.
        origin: String,
        /// The payload's number, counted from 1.
        number: i64,
        /// The limit.
        limit: usize,
    },
    /// There is no record to explain.
    #[error("{}: there is no record to explain: {}", visible(origin), visible(why))]
    Unexplained {
        /// The file, or `stdin`.
        origin: String,
        /// What there is.
        why: String,
    },
    /// Input ended in an error.
    #[error("cannot read {}", visible(origin))]
    Read {
        /// The file, or `stdin`.
        origin: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// Output cannot be written.
    #[error("cannot write to {}", visible(target))]
    Write {
        /// `standard output`, or the file.
        target: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The runtime that drives the service cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// Synthetic records did not reach Kafka.
    #[error(transparent)]
    Generate(#[from] generate::KafkaFailure),
    /// The service failed.
    #[error(transparent)]
    Service(#[from] crate::service::supervisor::ServiceError),
    /// The demo failed.
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
}

impl Failure {
    /// What the process exits with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Arguments(_) | Self::Open { .. } => 64,
            Self::Unexplained { .. } => 65,
            Self::TooLong { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Runtime(_)
            | Self::Generate(_)
            | Self::Service(_)
            | Self::Demo(_) => 70,
        }
    }

    fn stdout(error: std::io::Error) -> Self {
        Self::Write {
            target: "standard output".to_owned(),
            error,
        }
    }

    /// Whether the reader of what this program writes has left, which is its right.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write { error, .. } | Self::Demo(demo::DemoError::Output(error))
            if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl Cli {
    /// Does what was asked. A reader that closes the pipe early ends a command well.
    pub fn run(self) -> Result<Completion, Failure> {
        let result = match self.command {
            Command::Run(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Process(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Generate(command) => command.run(),
            Command::Schema(command) => command.run(),
        };
        match result {
            Err(failure) if failure.is_broken_pipe() => Ok(Completion::Done),
            result => result,
        }
    }
}

impl ConfigFile {
    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The configuration, or all of its faults.
    fn load(&self) -> Result<Config, Failure> {
        Config::load(self.path(), environment())
            .map_err(|faults| Failure::Configuration(faults.to_string()))
    }
}

/// The environment's variables; one that is not Unicode is none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn pipeline(config: &Config) -> Result<Pipeline, Failure> {
    Pipeline::from_config(config).map_err(|error| Failure::Configuration(in_one_line(&error)))
}

/// The same for a command without a log: what should be known of it goes to standard error.
fn pipeline_with_notes(config: &Config) -> Result<Pipeline, Failure> {
    let pipeline = pipeline(config)?;
    let mut out = std::io::stderr().lock();
    for (what, fault) in told(pipeline.notes()) {
        // Where its reader has left there is nobody to tell.
        let _ = writeln!(out, "trailtag: {what}: {}", shown(&fault));
    }
    Ok(pipeline)
}

/// What should be known of rules and conditions in use, a line each, and what it is.
fn told(notes: &Notes) -> impl Iterator<Item = (&'static str, String)> {
    let skipped = notes.skipped.iter().map(|fault| ("skipped", fault));
    let warnings = notes.warnings.iter().map(|fault| ("warning", fault));
    skipped
        .chain(warnings)
        .map(|(what, fault)| (what, fault.to_string()))
}

/// One thread, this one, for what waits (signals, HTTP); the work has threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
}

/// Starts the program's own log, on standard error. A filter that cannot be read is a fault that `check` names.
fn start_log(format: config::LogFormat, level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(level).unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // It fails only where a log runs already, which then goes on.
    let _ = match format {
        config::LogFormat::Json => log.json().flatten_event(true).try_init(),
        config::LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && colour_allowed();
            log.with_ansi(colours)
                .with_writer(move || log_text::OneLine { colours })
                .try_init()
        }
    };
}

/// Whether standard output is a terminal that may be coloured.
fn wants_colour() -> bool {
    std::io::stdout().is_terminal() && colour_allowed()
}

/// <https://no-color.org>: any value but an empty one switches colour off.
fn colour_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A line as a terminal may show it: what is hidden in it is an escape.
#[must_use]
pub fn shown(line: &str) -> std::borrow::Cow<'_, str> {
    visible(line)
}

/// Prints what clap says; an argument that it quotes may hold anything.
pub fn print_usage(error: &clap::Error) -> std::io::Result<()> {
    let text = error.render().to_string();
    let steers = |line: &str| line.contains(|c| visible::is_hidden(c) && c != '\t');
    if !text.lines().any(steers) {
        return error.print();
    }
    let mut out = std::io::stderr().lock();
    text.lines()
        .try_for_each(|line| writeln!(out, "{}", visible(line)))
}

/// Writes to standard output what is written in one go.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::stdout)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_reader_that_left_is_no_failure_and_a_full_disk_is() {
        for (kind, expected) in [
            (std::io::ErrorKind::BrokenPipe, true),
            (std::io::ErrorKind::StorageFull, false),
        ] {
            assert_eq!(Failure::stdout(kind.into()).is_broken_pipe(), expected);
        }
    }

    #[test]
    fn an_error_and_its_causes_make_one_line() {
        let failure = Failure::Open {
            path: "rules.yaml".into(),
            error: std::io::Error::other("gone"),
        };
        assert_eq!(
            in_one_line(&failure),
            "cannot open rules.yaml; check the name and the permissions: gone"
        );
    }
}

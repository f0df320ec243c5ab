//! `trailtag process`: payloads from files or standard input, documents to standard output. The way for Vector, Fluent
//! Bit, Bento or a shell pipe to embed the pipeline: no Kafka, and nothing kept between payloads but the steps of sequences.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::dead_letters::{self, DeadLetters};
use super::payloads::{self, Line, Lines, STDIN};
use super::terminal::json_for_terminal;
use super::{Completion, ConfigFile, Failure, pipeline, pipeline_with_notes, told};
use crate::cloudtrail::envelope::Skip;
use crate::config::Format;
use crate::config::{Config, Route};
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::model::{Level, Origin, SequenceKind};
use crate::pipeline::{Outputs, Pipeline, Tally};
use crate::sequence::{Fold, SequenceTally};

/// How many bytes of documents are written together.
const PART: usize = 4 << 20;

/// `trailtag process`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each FILE is one message payload, exactly as in Kafka: a record, {\"Records\":[…]}, an EventBridge event, a CloudWatch \
Logs batch, plain or compressed. Standard input has one payload per line; empty lines are skipped.

Records that together say more than each alone, such as one role taken out of an instance profile and another put in, \
become a further document, after the last of them (docs/sequences.md).

Each finding is written once, on one line, regardless of the configured routes; with --route, as that route writes it: \
with its format and options, and only if it accepts the finding. Line breaks between the values of a record become \
spaces. What cannot be read is reported on standard error, or written completely with --dead-letters, one JSON object \
per line: reason, error, source, encoding (utf8 or base64) and payload. That FILE is emptied first. A new one is \
readable by its owner only. It must not be a file that the command reads.

Examples:
  trailtag process 111122223333_CloudTrail_us-east-1_20260105T0000Z.json.gz
  zcat *.json.gz | trailtag process --summary json > findings.ndjson
  trailtag generate --match-rate 0.01 | trailtag process | jq .trailtag.severity
  trailtag process --config trailtag.yaml --route siem record.json")]
pub struct Process {
    /// Files with one payload each; - or none: standard input, one payload per line
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The format of the documents
    #[arg(long, value_enum, default_value_t, conflicts_with = "route")]
    format: Format,
    /// Write as this route of the configuration does
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Write what cannot be read to FILE, one JSON object per line
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Allow a symbolic link, such as /dev/fd/3, for --dead-letters
    #[arg(long, requires = "dead_letters")]
    follow_links: bool,
    /// At the end, write one JSON line with the counts, and with notes about rules, to standard error, and nothing else there
    #[arg(long, value_enum, value_name = "FORM")]
    summary: Option<SummaryFormat>,
    /// Exit with 65 if any input could not be read
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// The form of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SummaryFormat {
    /// One JSON object
    Json,
}

impl Process {
    /// Processes all files, or standard input until it ends.
    pub fn run(self) -> Result<Completion, Failure> {
        let mut config = self.config.load()?;
        config.routes = vec![self.route(&config)?];
        let stdin = [PathBuf::from("-")];
        let files = if self.files.is_empty() {
            stdin.as_slice()
        } else {
            &self.files
        };
        let dead_letters = match &self.dead_letters {
            Some(path) => {
                let protected = dead_letters::protected_files(files, self.config.path(), &config);
                DeadLetters::to(path, self.follow_links, &protected)?
            }
            None if self.summary.is_some() => DeadLetters::Counted,
            None => DeadLetters::Named,
        };
        let limit = config.input.max_decoded_bytes;
        let pipeline = if self.summary.is_some() {
            // With a summary, nothing else is on standard error: it has the notes.
            pipeline(&config)?
        } else {
            pipeline_with_notes(&config)?
        };
        let mut work = Work {
            pipeline: pipeline.collecting_steps(),
            fold: Fold::new(&config.sequences),
            // What a small payload becomes may be larger than memory: it is written as it comes.
            outputs: Outputs {
                budget: Some(PART),
                ..Outputs::default()
            },
            tally: Tally::default(),
            messages: 0,
            documents: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
            is_terminal: io::stdout().is_terminal(),
            dead_letters,
        };
        for file in files {
            if payloads::is_stdin(file) {
                work.lines(Lines::new(io::stdin().lock(), limit))?;
            } else {
                let (origin, payload) = payloads::whole(file, limit)?;
                work.payload(&payload, &origin, 0)?;
            }
        }
        work.flush()?;
        if self.summary == Some(SummaryFormat::Json) {
            let mut line = summary(work.messages, &work.tally, &work.fold.tally);
            let notes: Vec<String> = told(work.pipeline.notes())
                .map(|(what, fault)| format!("{what}: {fault}"))
                .collect();
            if let Some(line) = line.as_object_mut().filter(|_| !notes.is_empty()) {
                line.insert("notes".to_owned(), json!(notes));
            }
            writeln!(io::stderr().lock(), "{line}").map_err(|error| Failure::Write {
                target: "standard error".to_owned(),
                error,
            })?;
        }
        if self.strict && work.tally.dead_lettered > 0 {
            return Ok(Completion::BadInput);
        }
        Ok(Completion::Done)
    }

    /// How documents are written.
    fn route(&self, config: &Config) -> Result<Route, Failure> {
        let Some(name) = &self.route else {
            return Ok(Route {
                name: "stdout".to_owned(),
                topic: "stdout".to_owned(),
                format: self.format,
                ..Route::default()
            });
        };
        let found = config.routes.iter().find(|route| route.name == *name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = config.routes.iter().map(|it| it.name.as_str()).collect();
            let known = known.join(", ");
            Failure::Arguments(format!(
                "--route: no route is called `{name}`; there are {known}"
            ))
        })
    }
}

/// Everything that goes on while payloads come in.
struct Work<W> {
    pipeline: Pipeline,
    fold: Fold,
    outputs: Outputs,
    tally: Tally,
    messages: u64,
    documents: W,
    /// Whether a person reads the documents as they come.
    is_terminal: bool,
    dead_letters: DeadLetters,
}

impl<W: Write> Work<W> {
    /// One payload a line, until the input ends.
    fn lines<R: Read>(&mut self, mut lines: Lines<R>) -> Result<(), Failure> {
        while let Some((line, number)) = lines.next(|| self.flush())? {
            match line {
                Line::Payload(payload) => self.payload(payload, STDIN, number)?,
                Line::TooLong { beginning, length } => self.too_long(beginning, length, number)?,
            }
        }
        Ok(())
    }

    /// A line that is longer than a payload may be: a dead letter with as much of it as a payload may have.
    fn too_long(&mut self, beginning: &[u8], length: u64, number: i64) -> Result<(), Failure> {
        let reason = Reason::DecodedTooLarge;
        let letter = DeadLetter {
            reason,
            error: format!(
                "the line has {length} bytes, more than {} (input.max_decoded_bytes); the rest of it is not kept",
                beginning.len()
            ),
            index: None,
            payload: beginning.to_owned(),
        };
        self.messages += 1;
        self.tally.dead_letter(reason);
        self.dead_letters.write(&letter, &origin(STDIN, number))
    }

    /// One payload. Nearly all are ignored: of them nothing is written, and nothing is made ready for writing.
    fn payload(&mut self, payload: &[u8], topic: &str, offset: i64) -> Result<(), Failure> {
        self.messages += 1;
        if let Some(Tally { ignored, .. }) = self.pipeline.ignored(payload, &mut self.outputs) {
            self.tally.ignored += ignored;
            return Ok(());
        }
        self.write(payload, &origin(topic, offset))
    }

    /// Writes what a payload becomes.
    fn write(&mut self, payload: &[u8], origin: &Origin<'_>) -> Result<(), Failure> {
        let Self {
            pipeline,
            fold,
            outputs,
            documents,
            dead_letters,
            tally: sum,
            is_terminal,
            ..
        } = self;
        let mut failure = None;
        let mut write = |outputs: &mut Outputs| {
            fold.fold(pipeline, outputs);
            for mut document in outputs.documents.drain(..) {
                into_one_line(&mut document.payload);
                if *is_terminal {
                    document.payload = json_for_terminal(document.payload);
                }
                document.payload.push(b'\n');
                documents
                    .write_all(&document.payload)
                    .map_err(Failure::stdout)?;
            }
            outputs
                .dead_letters
                .drain(..)
                .try_for_each(|letter| dead_letters.write(&letter, origin))
        };
        let tally =
            pipeline.process_in_parts(payload, origin, outputs, &mut |outputs, tally, _| {
                sum.add(tally);
                match write(outputs) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
        if let Some(failure) = failure {
            return Err(failure);
        }
        sum.add(&tally);
        write(outputs)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.documents.flush().map_err(Failure::stdout)?;
        self.dead_letters.flush()
    }
}

const fn origin(topic: &str, offset: i64) -> Origin<'_> {
    Origin {
        topic,
        partition: 0,
        offset,
        timestamp: None,
    }
}

/// Line breaks in JSON stand between values only (within a string they are escaped), where a space means the same.
fn into_one_line(document: &mut [u8]) {
    for byte in document {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The counts, every name always there.
fn summary(messages: u64, tally: &Tally, sequences: &SequenceTally) -> serde_json::Value {
    let object = |names: &[&str], counts: &[u64]| -> serde_json::Map<_, _> {
        names
            .iter()
            .zip(counts)
            .map(|(name, count)| ((*name).to_owned(), json!(count)))
            .collect()
    };
    json!({
        "messages": messages,
        "records": tally.records(),
        "ignored": tally.ignored,
        "matched": tally.matched,
        "dead_lettered": tally.dead_lettered,
        "findings": object(&Level::ALL.map(Level::as_str), &tally.findings),
        "sequences": object(&SequenceKind::ALL.map(SequenceKind::as_str), &sequences.kinds),
        "skipped": object(&Skip::ALL.map(Skip::as_str), &tally.skipped),
        "dead_letters": object(&Reason::ALL.map(Reason::as_str), &tally.dead_letters),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_one_line_that_means_the_same() {
        let pretty = "{\r\n  \"a\": \"b\\n\"\n}".to_owned();
        let mut line = pretty.clone().into_bytes();
        into_one_line(&mut line);
        assert!(memchr::memchr2(b'\n', b'\r', &line).is_none());
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&line), value(pretty.as_bytes()));
    }

    #[test]
    fn the_summary_names_every_count() {
        let mut tally = Tally {
            ignored: 4,
            matched: 2,
            ..Tally::default()
        };
        tally.dead_letter(Reason::Truncated);
        tally.skip(Skip::Digest);
        tally.finding(Level::Low);
        tally.finding(Level::High);
        let mut sequences = SequenceTally::default();
        sequences.count(SequenceKind::Burst);
        let summary = summary(6, &tally, &sequences);
        assert_eq!(
            ["messages", "records", "ignored", "matched", "dead_lettered"].map(|key| &summary[key]),
            [6, 7, 4, 2, 1]
        );
        assert_eq!(
            [
                "/findings/low",
                "/findings/high",
                "/findings/critical",
                "/sequences/burst",
                "/sequences/role_swap",
                "/skipped/digest",
                "/dead_letters/truncated"
            ]
            .map(|key| summary.pointer(key).unwrap()),
            [1, 1, 0, 1, 0, 1, 1]
        );
        assert_eq!(
            ["findings", "skipped", "dead_letters"]
                .map(|key| summary[key].as_object().unwrap().len()),
            [Level::ALL.len(), Skip::ALL.len(), Reason::ALL.len()]
        );
    }
}

//! `trailtag process`: payloads from files or standard input, documents to standard output. The way for Vector, Fluent
//! Bit, Bento or a shell pipe to embed the pipeline: no Kafka, nothing kept between payloads.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::dead_letters::{self, DeadLetters};
use super::paint::plain_json;
use super::{ConfigFile, Failure, Outcome, pipeline};
use crate::cloudtrail::envelope::Skip;
use crate::config::{Config, Route};
use crate::dead_letter::{DeadLetter, Reason};
use crate::detection::level::Level;
use crate::format::Format;
use crate::pipeline::{Origin, Outputs, Pipeline, Tally};

/// The name of standard input as an origin.
const STDIN: &str = "stdin";

/// How many bytes of documents are written together.
const PART: usize = 4 << 20;

/// `trailtag process`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each FILE is one message payload, exactly as Kafka would carry it: a record, {\"Records\":[…]}, an EventBridge event, a \
CloudWatch Logs batch, plain or compressed. Standard input is one payload a line; empty lines are nothing.

Each finding is written once, on one line, whatever the configuration's routes; with --route, as that route writes it: \
its format and options, and only what it asks for. Line breaks between the values of a record become spaces. What \
cannot be read is named on standard error, or kept whole with --dead-letters, one JSON object a line: reason, error, \
source, encoding (utf8 or base64) and payload. That FILE is emptied first, made for its owner alone where it is not \
there, and may not be one that is read.

Examples:
  trailtag process 111122223333_CloudTrail_us-east-1_20260105T0000Z.json.gz
  zcat *.json.gz | trailtag process --summary json > findings.ndjson
  trailtag generate --match-rate 0.01 | trailtag process | jq .trailtag.severity
  trailtag process --config trailtag.yaml --route siem record.json")]
pub struct Process {
    /// Payloads; - or none is standard input, one payload a line
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The form of the documents
    #[arg(long, value_enum, default_value_t, conflicts_with = "route")]
    format: Format,
    /// Write as the configuration's route of this name does
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Keep what cannot be read in FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Write --dead-letters through a symbolic link too, such as /dev/fd/3
    #[arg(long, requires = "dead_letters")]
    follow_links: bool,
    /// Write one JSON line of counts to standard error at the end, and nothing else there
    #[arg(long, value_enum, value_name = "FORM")]
    summary: Option<Summary>,
    /// Exit 65 if anything could not be read
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// The form of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Summary {
    /// One JSON object
    Json,
}

impl Process {
    /// Processes all files, or standard input until it ends.
    pub fn run(self) -> Result<Outcome, Failure> {
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
                let inputs = dead_letters::inputs(files, self.config.path(), &config);
                DeadLetters::to(path, self.follow_links, &inputs)?
            }
            None if self.summary.is_some() => DeadLetters::Counted,
            None => DeadLetters::Named,
        };
        let limit = config.input.max_decoded_bytes;
        let mut work = Work {
            pipeline: pipeline(&config)?,
            outputs: Outputs::default(),
            tally: Tally::default(),
            messages: 0,
            limit,
            documents: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
            is_terminal: io::stdout().is_terminal(),
            dead_letters,
        };
        for file in files {
            if file == Path::new("-") {
                work.lines(BufReader::with_capacity(64 * 1024, io::stdin().lock()))?;
            } else {
                work.file(file)?;
            }
        }
        work.flush()?;
        if self.summary == Some(Summary::Json) {
            let line = summary(work.messages, &work.tally);
            writeln!(io::stderr().lock(), "{line}").map_err(|error| Failure::Write {
                target: "standard error".to_owned(),
                error,
            })?;
        }
        if self.strict && work.tally.dead_lettered > 0 {
            return Ok(Outcome::BadInput);
        }
        Ok(Outcome::Done)
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
    outputs: Outputs,
    tally: Tally,
    messages: u64,
    limit: usize,
    documents: W,
    /// Whether a person reads the documents as they come.
    is_terminal: bool,
    dead_letters: DeadLetters,
}

impl<W: Write> Work<W> {
    /// One payload a line, until the input ends.
    fn lines<R: Read>(&mut self, mut input: BufReader<R>) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            // About to wait for more input: whoever feeds us may be waiting for what its last line became.
            if memchr::memchr(b'\n', input.buffer()).is_none() {
                self.flush()?;
            }
            line.clear();
            let most = self.limit as u64 + 1;
            let read = input
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut line)
                .map_err(|error| Failure::Read {
                    origin: STDIN.to_owned(),
                    error,
                })?;
            if read == 0 {
                return Ok(());
            }
            let ended = line.pop_if(|byte| *byte == b'\n').is_some();
            if !ended && read as u64 == most {
                let rest = skip_line(&mut input)?;
                self.too_long(&mut line, rest, number)?;
                number += 1;
                continue;
            }
            line.pop_if(|byte| ended && *byte == b'\r');
            if !line.trim_ascii().is_empty() {
                self.payload(&line, STDIN, number)?;
                number += 1;
            }
        }
    }

    /// A line that is longer than a payload may be: a dead letter with as much of it as may be held.
    fn too_long(&mut self, line: &mut Vec<u8>, rest: u64, number: i64) -> Result<(), Failure> {
        let reason = Reason::DecodedTooLarge;
        let length = line.len() as u64 + rest;
        line.truncate(self.limit);
        let letter = DeadLetter {
            reason,
            error: format!(
                "the line has {length} bytes, more than {} (input.max_decoded_bytes); the rest of it is not kept",
                self.limit
            ),
            index: None,
            payload: std::mem::take(line),
        };
        self.messages += 1;
        self.tally.dead_letter(reason);
        self.dead_letters.write(&letter, &origin(STDIN, number))
    }

    /// One payload.
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let origin = path.display().to_string();
        let file = File::open(path).map_err(|error| Failure::Open {
            path: path.to_owned(),
            error,
        })?;
        let mut payload = Vec::new();
        file.take(self.limit as u64 + 1)
            .read_to_end(&mut payload)
            .map_err(|error| Failure::Read {
                origin: origin.clone(),
                error,
            })?;
        if payload.len() > self.limit {
            return Err(Failure::TooLong {
                origin,
                number: 1,
                limit: self.limit,
            });
        }
        self.payload(&payload, &origin, 0)
    }

    fn payload(&mut self, payload: &[u8], topic: &str, offset: i64) -> Result<(), Failure> {
        let origin = origin(topic, offset);
        self.messages += 1;
        let Self {
            pipeline,
            outputs,
            documents,
            dead_letters,
            tally: sum,
            is_terminal,
            ..
        } = self;
        // What a small payload becomes may be larger than memory: it is written as it comes.
        outputs.budget = Some(PART);
        let mut failure = None;
        let mut write = |outputs: &mut Outputs| {
            for mut document in outputs.documents.drain(..) {
                into_one_line(&mut document.payload);
                if *is_terminal {
                    document.payload = plain_json(document.payload);
                }
                document.payload.push(b'\n');
                documents
                    .write_all(&document.payload)
                    .map_err(Failure::stdout)?;
            }
            outputs
                .dead_letters
                .drain(..)
                .try_for_each(|letter| dead_letters.write(&letter, &origin))
        };
        let tally = pipeline.ignored(payload, outputs).unwrap_or_else(|| {
            pipeline.process_in_parts(payload, &origin, outputs, &mut |outputs, tally, _| {
                sum.add(tally);
                match write(outputs) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
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

/// Passes over what is left of a line, and says how long that was.
fn skip_line(input: &mut impl BufRead) -> Result<u64, Failure> {
    let mut length = 0;
    loop {
        let buffer = input.fill_buf().map_err(|error| Failure::Read {
            origin: STDIN.to_owned(),
            error,
        })?;
        let end = memchr::memchr(b'\n', buffer);
        let read = end.map_or(buffer.len(), |end| end + 1);
        let is_over = end.is_some() || buffer.is_empty();
        length += end.unwrap_or(read) as u64;
        input.consume(read);
        if is_over {
            return Ok(length);
        }
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
fn summary(messages: u64, tally: &Tally) -> serde_json::Value {
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
        let summary = summary(6, &tally);
        assert_eq!(
            ["messages", "records", "ignored", "matched", "dead_lettered"].map(|key| &summary[key]),
            [6, 7, 4, 2, 1]
        );
        assert_eq!(
            [
                "/findings/low",
                "/findings/high",
                "/findings/critical",
                "/skipped/digest",
                "/dead_letters/truncated"
            ]
            .map(|key| summary.pointer(key).unwrap()),
            [1, 1, 0, 1, 1]
        );
        assert_eq!(
            ["findings", "skipped", "dead_letters"]
                .map(|key| summary[key].as_object().unwrap().len()),
            [Level::ALL.len(), Skip::ALL.len(), Reason::ALL.len()]
        );
    }
}

//! `process --dead-letters FILE`: what could not be read, kept whole, one JSON object a line.
//!
//! The file is one that this program writes and nothing else does: never one that it reads, nor through a link unless
//! told, and not for others to read, since audit data is in it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Failure;
use super::payloads::is_stdin;
use crate::config::Config;
use crate::config::files::Walk;
use crate::detection::files::is_rules;
use crate::model::Origin;
use crate::model::dead_letter::DeadLetter;
use crate::model::visible::{self, visible};

/// Where dead letters go.
pub(super) enum DeadLetters {
    /// Whole, to a file.
    File {
        path: PathBuf,
        file: BufWriter<File>,
    },
    /// A line each on standard error.
    Named,
    /// Into the summary alone, which is to be the only line on standard error.
    Counted,
}

impl DeadLetters {
    /// Opens the file, empty; refuses one that is among those that are `protected`, or that standard output is.
    pub(super) fn to(
        path: &Path,
        follow_links: bool,
        protected: &[ProtectedFile],
    ) -> Result<Self, Failure> {
        let open = |error| Failure::Open {
            path: path.to_owned(),
            error,
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        if !follow_links {
            options.custom_flags(libc::O_NOFOLLOW);
        }
        let file = options.open(path).map_err(|error| {
            if error.raw_os_error() == Some(libc::ELOOP) {
                return Failure::Arguments(format!(
                    "--dead-letters: {} is a symbolic link; name the file that it leads to, or add --follow-links",
                    visible::path(path)
                ));
            }
            open(error)
        })?;
        let metadata = file.metadata().map_err(open)?;
        if metadata.is_file() {
            let same = |file: &&ProtectedFile| file.id == Some(id(&metadata));
            if let Some(file) = protected.iter().find(same) {
                return Err(Failure::Arguments(format!(
                    "--dead-letters: {} is {}, and would be overwritten; name another file",
                    visible::path(path),
                    file.name
                )));
            }
            // Only now: an input must not be emptied before it is known to be one.
            file.set_len(0).map_err(open)?;
        }
        Ok(Self::File {
            path: path.to_owned(),
            file: BufWriter::new(file),
        })
    }

    pub(super) fn write(
        &mut self,
        letter: &DeadLetter,
        origin: &Origin<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::File { path, file } => {
                writeln!(file, "{}", kept(letter, origin)).map_err(|error| Failure::Write {
                    target: path.display().to_string(),
                    error,
                })
            }
            Self::Named => writeln!(
                io::stderr().lock(),
                "trailtag: {}, payload {}{}: {}: {}",
                visible(origin.topic),
                origin.offset + 1,
                letter
                    .index
                    .map(|index| format!(", element {}", index + 1))
                    .unwrap_or_default(),
                letter.reason.as_str(),
                visible(&letter.error)
            )
            .map_err(|error| Failure::Write {
                target: "standard error".to_owned(),
                error,
            }),
            Self::Counted => Ok(()),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let Self::File { path, file } = self else {
            return Ok(());
        };
        file.flush().map_err(|error| Failure::Write {
            target: path.display().to_string(),
            error,
        })
    }
}

/// What tells a file from others, whatever it is called.
type FileId = (u64, u64);

fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// A file that must not be overwritten.
pub(super) struct ProtectedFile {
    name: String,
    /// None where it cannot be looked at: then it cannot be read either.
    id: Option<FileId>,
}

impl ProtectedFile {
    fn at(what: &str, path: &Path) -> Self {
        Self {
            name: format!("{what} {}", visible::path(path)),
            id: std::fs::metadata(path).ok().as_ref().map(id),
        }
    }

    fn open(name: &str, stream: BorrowedFd<'_>) -> Self {
        let file = stream.try_clone_to_owned().map(File::from);
        let metadata = file.and_then(|file| file.metadata());
        Self {
            name: name.to_owned(),
            id: metadata.ok().as_ref().map(id),
        }
    }
}

/// Everything that a run reads, and where its documents go.
pub(super) fn protected_files(
    payloads: &[PathBuf],
    file: Option<&Path>,
    config: &Config,
) -> Vec<ProtectedFile> {
    let mut files = vec![ProtectedFile::open("standard output", io::stdout().as_fd())];
    for path in payloads {
        files.push(if is_stdin(path) {
            ProtectedFile::open("standard input", io::stdin().as_fd())
        } else {
            ProtectedFile::at("the input", path)
        });
    }
    files.extend(file.map(|path| ProtectedFile::at("the configuration", path)));
    let detection = &config.detection;
    let security = &config.kafka.security;
    let single = [
        &detection.severity_file,
        &detection.profiles_in_use_file,
        &detection.aws_networks_file,
        &config.remediation.file,
        &security.sasl.password_file,
        &security.tls.ca_file,
        &security.tls.cert_file,
        &security.tls.key_file,
    ];
    let mut walk = Walk::new(&is_rules);
    for path in &detection.rules {
        walk.through(path);
    }
    let read = single
        .into_iter()
        .chain(&detection.threat_networks_files)
        .chain(&walk.files);
    files.extend(
        read.filter(|path| !path.as_os_str().is_empty())
            .map(|path| ProtectedFile::at("the file", path)),
    );
    files
}

/// A dead letter as a JSON object from which its bytes can be had back.
fn kept(letter: &DeadLetter, origin: &Origin<'_>) -> serde_json::Value {
    let (encoding, payload) = std::str::from_utf8(&letter.payload).map_or_else(
        |_| ("base64", STANDARD.encode(&letter.payload)),
        |text| ("utf8", text.to_owned()),
    );
    json!({
        "reason": letter.reason.as_str(),
        "error": letter.error,
        "source": {
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
            "index": letter.index,
        },
        "encoding": encoding,
        "payload": payload,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::dead_letter::Reason;

    const ORIGIN: Origin<'static> = Origin {
        topic: "stdin",
        partition: 0,
        offset: 6,
        timestamp: None,
    };

    fn letter(payload: Vec<u8>) -> DeadLetter {
        DeadLetter {
            reason: Reason::NotJson,
            error: "begins with 0x80".to_owned(),
            index: None,
            payload,
        }
    }

    proptest! {
        #[test]
        fn a_kept_dead_letter_gives_its_bytes_back(payload: Vec<u8>) {
            let line = kept(&letter(payload.clone()), &ORIGIN).to_string();
            prop_assert!(!line.contains('\n'));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = value["payload"].as_str().unwrap();
            let back = match value["encoding"].as_str() {
                Some("utf8") => text.as_bytes().to_vec(),
                _ => STANDARD.decode(text).unwrap(),
            };
            prop_assert_eq!(back, payload);
        }
    }
}

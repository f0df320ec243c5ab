//! Files and folders that an operator names, read within bounds.
//!
//! A path and a limit go in; a text comes out, or why there is none, in words. Only regular files are opened: a named
//! pipe would be waited for, and a device may never end. Folders are walked with a bound on depth and on entries, and
//! each is read once, whatever number of links lead to it. Every configuration, rule, list, password and certificate goes
//! through here, at start and at each reload. What `process` and `explain` read is data, and does not.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes of one file of rules.
pub(crate) const RULE_FILE: usize = 16 * 1024 * 1024;

/// The most bytes of one list: addresses, or the inventory of profiles.
pub(crate) const LIST_FILE: usize = 64 * 1024 * 1024;

/// The most bytes of a file that holds a secret.
pub(crate) const SECRET_FILE: usize = 64 * 1024;

/// How deep folders may be nested.
const MAX_DEPTH: usize = 16;

/// The most entries of all folders together, whatever they are.
const MAX_ENTRIES: usize = 200_000;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The system says why.
    #[error(transparent)]
    System(#[from] io::Error),
    /// It is no regular file.
    #[error("it is {kind}, and only regular files are read")]
    Kind {
        /// What it is.
        kind: &'static str,
    },
    /// It holds too much.
    #[error(
        "it is larger than {limit} bytes, the most that is read of such a file: split it, or name another"
    )]
    Large {
        /// The most that is read.
        limit: usize,
    },
    /// It is not text.
    #[error("it is not UTF-8")]
    Encoding,
}

/// Opens a regular file. A named pipe is refused without waiting for whoever may write to it.
pub(crate) fn open(path: &Path) -> Result<File, Unread> {
    // Asked before: opening a device can have effects. And again after, since the name may lead elsewhere by then.
    regular(&std::fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

fn regular(metadata: &Metadata) -> Result<(), Unread> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(Unread::Kind {
            kind: kind(metadata),
        })
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    "a device"
}

/// Whether a file can be opened; if not, why, for a fault.
pub(super) fn readable(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    open(path)
        .map(drop)
        .map_err(|error| unreadable(path, &error))
}

/// That a file or a folder cannot be read, for a fault.
pub(super) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{} cannot be read: {error}", path.display())
}

/// The text of a regular file of at most `limit` bytes.
pub(crate) fn text(path: &Path, limit: usize) -> Result<String, Unread> {
    let file = open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(Unread::Large { limit });
    }
    // The length is only what it was: it may grow while it is read.
    let mut bytes = Vec::with_capacity(length);
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(Unread::Large { limit });
    }
    String::from_utf8(bytes).map_err(|_| Unread::Encoding)
}

/// What is wrong with a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: PathBuf,
    pub(crate) what: String,
}

/// Walks through folders; all that one walk goes through counts together.
pub(crate) struct Walk<'w> {
    /// Whether a file of this name is wanted.
    wanted: &'w dyn Fn(&Path) -> bool,
    entries: usize,
    /// Folders by their identity, so that links cannot lead in a circle, nor many times to one place.
    seen: BTreeSet<Identity>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) problems: Vec<Problem>,
}

/// What tells a folder from others, whatever it is called.
type Identity = (u64, u64);

impl<'w> Walk<'w> {
    pub(crate) fn new(wanted: &'w dyn Fn(&Path) -> bool) -> Self {
        Self {
            wanted,
            entries: 0,
            seen: BTreeSet::new(),
            files: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A path that was named: a file, whatever it is called; or the wanted files of a folder and its folders, by name.
    ///
    /// Hidden entries are passed over: a mounted ConfigMap keeps its files' real folders in such. False where it is a
    /// folder that was read before.
    pub(crate) fn through(&mut self, path: &Path) -> bool {
        if path.is_dir() {
            let seen = self.seen.len();
            self.folder(path, 0);
            return self.seen.len() > seen;
        }
        self.files.push(path.to_owned());
        true
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if self.entries > MAX_ENTRIES {
            return;
        }
        if depth > MAX_DEPTH {
            self.problem(
                path,
                format!("folders are nested more than {MAX_DEPTH} deep"),
            );
            return;
        }
        let mut entries = match self.entries_of(path) {
            Ok(entries) => entries,
            Err(what) => {
                self.problem(path, what);
                return;
            }
        };
        entries.sort();
        for entry in entries {
            if entry.is_dir() {
                self.folder(&entry, depth + 1);
            } else if (self.wanted)(&entry) {
                self.files.push(entry);
            }
        }
    }

    /// The entries that are not hidden; none where the folder was read before.
    fn entries_of(&mut self, path: &Path) -> Result<Vec<PathBuf>, String> {
        let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !self.seen.insert(identity(path, &metadata)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(format!(
                    "there are more than {MAX_ENTRIES} files and folders in the folders that are named: name the one \
                     that is meant"
                ));
            }
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    pub(crate) fn problem(&mut self, path: &Path, what: String) {
        self.problems.push(Problem {
            path: path.to_owned(),
            what,
        });
    }
}

#[cfg(unix)]
fn identity(_: &Path, metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Where the system gives no identity, the path without its links is one.
#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> Identity {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    std::fs::canonicalize(path)
        .unwrap_or_else(|_| path.to_owned())
        .hash(&mut hash);
    (0, hash.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn walked(path: &Path) -> (Vec<String>, Vec<String>) {
        let wanted = |path: &Path| path.extension().is_some_and(|it| it == "yml");
        let mut walk = Walk::new(&wanted);
        walk.through(path);
        let below = |it: &Path| it.strip_prefix(path).unwrap().display().to_string();
        (
            walk.files.iter().map(|it| below(it)).collect(),
            walk.problems.into_iter().map(|it| it.what).collect(),
        )
    }

    #[test]
    fn a_folder_is_read_once_however_many_links_lead_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("one.yml"), "").unwrap();
        // With each of them leading back, a walk that follows them has 40 levels with three ways at each.
        for name in ["b", "c", "d"] {
            symlink(folder.path(), inner.join(name)).unwrap();
        }
        symlink(&inner, folder.path().join("z")).unwrap();
        assert_eq!(
            walked(folder.path()),
            (vec!["a/one.yml".to_owned()], vec![])
        );
    }

    #[test]
    fn depth_and_breadth_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = folder.path().to_owned();
        for _ in 0..=MAX_DEPTH {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        let (files, problems) = walked(folder.path());
        assert_eq!(
            (files.len(), problems),
            (0, vec!["folders are nested more than 16 deep".to_owned()])
        );

        let wide = tempfile::tempdir().unwrap();
        for number in 0..10 {
            std::fs::write(wide.path().join(format!("{number}.yml")), "").unwrap();
        }
        let wanted = |_: &Path| true;
        let mut walk = Walk::new(&wanted);
        walk.entries = MAX_ENTRIES - 9;
        walk.through(wide.path());
        assert_eq!(walk.files.len(), 0);
        assert_eq!(walk.problems.len(), 1);
        assert!(walk.problems[0].what.contains("more than 200000"));
    }

    #[test]
    fn only_regular_files_of_some_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let said = |path: &Path, limit| match text(path, limit) {
            Ok(text) => text,
            Err(error) => format!("! {error}"),
        };
        std::fs::write(at("text"), "12345").unwrap();
        assert_eq!(said(&at("text"), 5), "12345");
        assert!(said(&at("text"), 4).contains("larger than 4 bytes"));
        std::fs::write(at("bytes"), b"\xff").unwrap();
        assert_eq!(said(&at("bytes"), 5), "! it is not UTF-8");
        assert!(said(&at("none"), 5).contains("No such file"));
        assert!(said(folder.path(), 5).contains("it is a folder"));
        assert!(said(Path::new("/dev/zero"), 5).contains("it is a device"));
        // Of a file in /proc the length is 0 before it is read.
        assert!(said(Path::new("/proc/self/maps"), 5).contains("larger than 5 bytes"));

        let pipe = at("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(said(&pipe, 5).contains("it is a named pipe"));
        symlink(&pipe, at("link")).unwrap();
        assert!(said(&at("link"), 5).contains("it is a named pipe"));
        let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert!(said(&at("socket"), 5).contains("it is a socket"));
        drop(socket);
    }
}

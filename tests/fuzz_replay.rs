//! The fuzz targets without a fuzzer: every seed, and inputs from a fixed source of chance, the same in every run.
//!
//! `make fuzz` searches; this holds what was found, and sees to it that the targets still build and their laws still hold.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
pub mod fuzz;

/// A source of chance (SplitMix64): the same numbers for the same seed, everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A seed with a few bytes changed, or cut, or with a piece of another seed in it.
    fn spoilt(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes[at] = self.next().to_le_bytes()[0],
                2 => {
                    let until = at + self.below((bytes.len() - at).min(64));
                    bytes.drain(at..until);
                }
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len().max(1));
                    let piece = other[from..].iter().copied().take(200);
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let paths: BTreeSet<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// Says which input it was that a target panicked at.
struct Told<'a>(&'a str, String);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the fuzz target {} panicked at {}", self.0, self.1);
        }
    }
}

/// Every seed, then so many inputs that are made of them, and as many of nothing.
fn replay(target: &str, made: usize) {
    let (name, run) = fuzz::TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .unwrap();
    let seeds = seeds(name);
    for (path, bytes) in &seeds {
        let _told = Told(name, path.display().to_string());
        run(bytes);
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let mut chance = Chance(1);
    for number in 0..made {
        let spoilt = chance.spoilt(&seeds);
        let length = chance.below(600);
        let mut made = chance.bytes(length);
        made.insert(0, fuzz::process::MADE);
        for bytes in [spoilt, made] {
            let _told = Told(
                name,
                format!("input {number}: {:?}", String::from_utf8_lossy(&bytes)),
            );
            run(&bytes);
        }
    }
}

#[test]
fn open() {
    replay("open", 1_000);
}

#[test]
fn process() {
    replay("process", 1_000);
    // A message of the one is one of the other.
    for (path, bytes) in seeds("open") {
        let _told = Told("process", path.display().to_string());
        fuzz::process::run(&bytes);
    }
}

/// The small files that stand in for the large ones are good, and so are the rules of a reload's beginning.
#[test]
fn what_targets_begin_with_is_taken() {
    let folder = fuzz::files::Folder::new();
    assert!(fuzz::laws::load(&folder.config(), 64 << 20).is_some());
    assert!(fuzz::reload::begins_well());
}

#[test]
fn rules() {
    replay("rules", 40);
}

#[test]
fn config() {
    replay("config", 150);
}

#[test]
fn yaml() {
    replay("yaml", 30);
}

#[test]
fn reload() {
    replay("reload", 2);
}

//! What the fuzz targets do with their bytes: each module has one function, `run`, which panics where a law is broken.
//!
//! `fuzz_targets/` calls them with what libFuzzer makes up (`make fuzz`), and `tests/fuzz_replay.rs`, which includes this
//! file as a module of its own, with the seeds and with bytes from a fixed source of chance (`make test`). So nothing here
//! may depend on nightly, on libFuzzer, or on what an earlier input left behind.

pub mod config;
pub mod files;
pub mod laws;
pub mod memory;
pub mod message;
pub mod open;
pub mod process;
pub mod record;
pub mod reload;
pub mod rules;
pub mod yaml;

/// A target: its name, and what it does with its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("open", open::run),
    ("process", process::run),
    ("rules", rules::run),
    ("config", config::run),
    ("yaml", yaml::run),
    ("reload", reload::run),
];

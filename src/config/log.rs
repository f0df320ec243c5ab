//! The program's own log: what its level may be.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::Log;
use super::nearest::nearest;
use crate::model::fault::Fault;

/// What is wrong.
pub(super) fn check(log: &Log, faults: &mut Vec<Fault>) {
    if let Err(reason) = filter(&log.level) {
        faults.push(Fault::new(
            "log.level",
            reason,
            "write `error`, `warn`, `info`, `debug`, `trace` or `off`, or a filter such as \
             `info,trailtag::kafka=debug`",
        ));
    }
}

/// Whether the log takes this as a level or a filter. A lone word would be taken for a module's name and silence all
/// others, so it must be a level.
fn filter(level: &str) -> Result<(), String> {
    let mut words = level.split(',').map(str::trim);
    let is_word = |word: &str| !word.contains(['=', '[', ':']);
    if let Some(word) = words.find(|word| is_word(word) && word.parse::<LevelFilter>().is_err()) {
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        let meant = nearest(word, levels.into_iter())
            .map_or_else(String::new, |level| format!(", but `{level}` is"));
        return Err(format!("`{word}` is no level{meant}"));
    }
    EnvFilter::builder()
        .parse(level)
        .map(drop)
        .map_err(|error| format!("`{level}` is no filter: {error}"))
}

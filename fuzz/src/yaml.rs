//! The other files of operators, through their loaders: the severity model, the catalogue of remediation, lists.
//!
//! The first line says which of them it is: `#remediation`, `#networks` or `#profiles`; what begins with `{` is AWS's networks,
//! and anything else a severity model.

use super::{files, laws};

/// The built-in files, compiled, and what the input becomes: templates and patterns above all.
const MEMORY: usize = 64 << 20;

/// A file of its kind.
pub fn run(data: &[u8]) {
    let folder = files::Folder::new();
    let mut config = folder.config();
    let path = folder.write("file", data);
    if data.starts_with(b"#remediation") {
        config.remediation.file = path;
    } else if data.starts_with(b"#networks") {
        config.detection.threat_networks_files = vec![path];
    } else if data.starts_with(b"#profiles") {
        config.detection.profiles_in_use_file = path;
    } else if data.starts_with(b"{") {
        config.detection.aws_networks_file = path;
    } else {
        config.detection.severity_file = path;
    }
    let _ = laws::load(&config, MEMORY);
}

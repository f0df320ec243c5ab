//! Loaders read paths: a folder for each input, which goes with it.

use std::path::PathBuf;

use trailtag::config::Config;

use super::laws;

/// A severity model that is quickly loaded.
pub const SEVERITY: &str = "factors:
  - id: outcome.denied
    points: 7
    floor: high
    attack: [T1078.004]
    when:
      a: {trailtag.outcome: denied}
      condition: a
";

/// A catalogue that is quickly loaded.
pub const REMEDIATION: &str = "risks:
  - id: access
    title: Access
    reasons:
      - why: \"{{ principal_arn }} may be in use.\"
items:
  - id: look
    kind: investigate
    title: Look
    risks: [access]
    cli:
      - \"aws iam get-role --region {{ home_region | sh }} --role-name {{ role | sh }}\"
";

/// A folder for files of one input.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// An empty one, where `TMPDIR` says.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}")))
    }

    /// A configuration with the two large built-in files replaced by small ones in this folder: they take far longer to
    /// load than what is looked at.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = laws::native();
        config.detection.severity_file = self.write("severity.yaml", SEVERITY);
        config.remediation.file = self.write("remediation.yaml", REMEDIATION);
        config
    }

    /// The path of a name in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, over what was there.
    #[must_use]
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

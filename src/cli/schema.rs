//! `trailtag schema`: what an editor needs to complete and check a configuration.

use clap::Args;

use super::{Completion, Failure, print};

/// `trailtag schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trailtag schema > trailtag.schema.json
  Then, as the first line of trailtag.yaml, for editors that run the YAML language server:
  # yaml-language-server: $schema=trailtag.schema.json")]
pub struct Schema {}

impl Schema {
    /// Prints the schema.
    pub fn run(self) -> Result<Completion, Failure> {
        // The alternate form of a JSON value is indented.
        print(&format!("{:#}\n", crate::config::schema()))?;
        Ok(Completion::Done)
    }
}

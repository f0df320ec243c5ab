//! The `trailtag` program: arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use trailtag::cli::Cli;

/// Bad configuration or arguments.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where its reader has left there is nobody to tell.
            let _ = trailtag::cli::print_usage(&error);
            return if error.use_stderr() {
                USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.run() {
        Ok(completion) => completion.exit_code().into(),
        Err(failure) => {
            let code = failure.exit_code();
            let text = format!("{:#}", anyhow::Error::from(failure));
            let mut out = std::io::stderr().lock();
            for line in text.lines() {
                let _ = writeln!(out, "trailtag: {}", trailtag::cli::shown(line));
            }
            code.into()
        }
    }
}

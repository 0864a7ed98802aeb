//! Writing to standard output and standard error. A reader that went away is no failure: the
//! command ends as quietly, and with the same status, as if everything had been read.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::error::CliError;

/// Writes results to standard output.
pub fn say(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Writes a line for people to standard error.
pub fn complain(line: &str) {
    // If even this cannot be written there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Shows help, the version, or what is wrong with the arguments.
pub fn refusal(refusal: &clap::Error) -> ExitCode {
    let _ = refusal.print();
    ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(2))
}

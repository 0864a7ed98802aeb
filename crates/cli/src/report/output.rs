//! Writing to standard output and standard error. A reader that went away is no failure: the
//! command ends as quietly, and with the same status, as if everything had been read.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::error::CliError;

/// Writes results to standard output.
pub fn say(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Standard output for many lines that come while the work goes on: what there is is shown soon, and
/// with few system calls. A reader that goes away is an error here, so that the work ends; the
/// command does not tell it ([`CliError::is_reader_gone`]).
pub struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    shown: Option<Instant>,
}

impl Lines {
    /// None yet.
    pub fn new() -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), shown: None }
    }

    /// Whether people read it as it comes.
    pub fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }

    /// Writes to it.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
    ) -> Result<(), CliError> {
        write(&mut self.out).map_err(CliError::Output)
    }

    /// Shows what was written, unless that was done a moment ago.
    pub fn show(&mut self) -> Result<(), CliError> {
        if self.shown.is_some_and(|shown| shown.elapsed() < MOMENT) || self.out.buffer().is_empty()
        {
            return Ok(());
        }
        self.shown = Some(Instant::now());
        self.end()
    }

    /// Shows all that was written.
    pub fn end(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::Output)
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

/// What people do not notice.
const MOMENT: Duration = Duration::from_millis(50);

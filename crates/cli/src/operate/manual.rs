//! `completions` and `man`: what a shell and a manual need to know, made from the arguments.

use std::fs;
use std::io;

use clap::CommandFactory;

use crate::Verdict;
use crate::args::Args;
use crate::args::operate::{CompletionsArgs, ManArgs};
use crate::error::CliError;
use crate::report::output;

/// Prints the completions for a shell.
pub fn completions(args: &CompletionsArgs) -> Result<Verdict, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), NAME, &mut script);
    output::say(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Kept)
}

/// Prints the main page, or writes all pages.
pub fn man(args: &ManArgs) -> Result<Verdict, CliError> {
    let command = Args::command();
    match &args.directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(CliError::Output)?;
            output::say(&String::from_utf8_lossy(&page))?;
        }
        Some(directory) => {
            let failed = |source: io::Error| CliError::Manual { place: directory.clone(), source };
            fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(command, directory).map_err(failed)?;
        }
    }
    Ok(Verdict::Kept)
}

const NAME: &str = "cloakroom";

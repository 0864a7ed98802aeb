//! Arguments of `completions` and `man`.

use std::path::PathBuf;

use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write `cloakroom.1`, `cloakroom-ls.1` and so on here; without it the main page goes to
    /// standard output
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cloakroom completions bash > ~/.local/share/bash-completion/completions/cloakroom
  cloakroom completions zsh > ~/.zfunc/_cloakroom
  cloakroom completions fish > ~/.config/fish/completions/cloakroom.fish";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  cloakroom man | man -l -
  cloakroom man ~/.local/share/man/man1";

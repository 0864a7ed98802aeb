//! Arguments of the operator's tools.

mod copy;
mod locks;
mod ls;
mod manual;
mod rm;
mod show;
mod stats;
mod sweep;
mod verify;

use clap::Subcommand;

pub use self::copy::CopyArgs;
pub use self::locks::LocksArgs;
pub use self::ls::{Filter, ListFormat, LsArgs, Order};
pub use self::manual::{CompletionsArgs, ManArgs};
pub use self::rm::RmArgs;
pub use self::show::ShowArgs;
pub use self::stats::StatsArgs;
pub use self::sweep::SweepArgs;
pub use self::verify::VerifyArgs;

/// What operators do.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// List sessions: version, size, age, when last used, when they end
    #[command(after_long_help = ls::EXAMPLES)]
    Ls(LsArgs),
    /// Show a session: its record, and its values as JSON
    #[command(after_long_help = show::EXAMPLES)]
    Show(ShowArgs),
    /// End sessions for every request
    #[command(after_long_help = rm::EXAMPLES)]
    Rm(RmArgs),
    /// Remove expired sessions and what killed processes left
    #[command(after_long_help = sweep::EXAMPLES)]
    Sweep(SweepArgs),
    /// Read every byte and say what is damaged
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(VerifyArgs),
    /// Count and measure the sessions
    #[command(after_long_help = stats::EXAMPLES)]
    Stats(StatsArgs),
    /// Copy all sessions to another store, or to another layout, while both serve
    #[command(after_long_help = copy::EXAMPLES)]
    Copy(CopyArgs),
    /// Show which sessions are locked or waited for right now, and by which process
    #[command(after_long_help = locks::EXAMPLES)]
    Locks(LocksArgs),
    /// Print the completions for a shell
    #[command(after_long_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command into a directory
    #[command(after_long_help = manual::MAN_EXAMPLES)]
    Man(ManArgs),
}

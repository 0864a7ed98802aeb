//! The values of `--access`: the four accesses of the engine, and three ways to use or miss them.

use std::fmt;

use clap::ValueEnum;
use cloakroom::Access;
use serde::{Deserialize, Serialize};

/// How an operation takes its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Locked from the first use to the end of the handler
    Exclusive,
    /// Locked, changed, committed and let go before the handler's work
    Released,
    /// Locked together with other readers; reads only
    Shared,
    /// The last committed version without any lock; reads only
    Snapshot,
    /// Without a lock; whoever was overtaken does it again
    Optimistic,
    /// The control: no lock, no check, updates are lost
    LastWriteWins,
    /// No session at all
    None,
}

impl Mode {
    /// Whether it adds to the counter.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Exclusive | Self::Released | Self::Optimistic | Self::LastWriteWins)
    }

    /// How a session is taken by who must write it: this way, or, if it only reads, exclusively where
    /// the store offers that.
    pub fn to_write(self, offers: &[Access]) -> Self {
        match self {
            Self::Shared | Self::Snapshot if offers.contains(&Access::Exclusive) => Self::Exclusive,
            Self::Shared | Self::Snapshot => Self::Optimistic,
            mode => mode,
        }
    }

    /// Whether it may lose updates without breaking a promise.
    pub const fn may_lose(self) -> bool {
        matches!(self, Self::LastWriteWins)
    }

    /// The access of the engine behind it.
    pub const fn access(self) -> Option<Access> {
        match self {
            Self::Exclusive | Self::Released => Some(Access::Exclusive),
            Self::Shared => Some(Access::Shared),
            Self::Snapshot => Some(Access::Snapshot),
            Self::Optimistic | Self::LastWriteWins => Some(Access::Optimistic),
            Self::None => None,
        }
    }

    /// The name on the command line, in tables and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Released => "released",
            Self::Shared => "shared",
            Self::Snapshot => "snapshot",
            Self::Optimistic => "optimistic",
            Self::LastWriteWins => "last-write-wins",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_one_name_everywhere() {
        for mode in Mode::value_variants() {
            assert_eq!(Mode::from_str(mode.name(), false).as_ref(), Ok(mode));
            assert_eq!(serde_json::to_string(mode).ok(), Some(format!("\"{mode}\"")));
        }
    }
}

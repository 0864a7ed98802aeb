//! What can go wrong with a copy as a whole.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why sessions could not be copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// A store cannot be copied into itself.
    #[error(
        "{from} and {to} are the same store, or one is inside the other; name another directory"
    )]
    SamePlace {
        /// Where from.
        from: String,
        /// Where to.
        to: String,
    },
    /// A layout for a store that has none.
    #[error("{to} has no directories to lay out, so --layout means nothing there; leave it out")]
    NoLayout {
        /// Where to.
        to: String,
    },
    /// What is to be copied is not all there.
    #[error("{from} is an unfinished copy of {of}; `cloakroom copy {of} {from}` finishes it")]
    Unfinished {
        /// Where from.
        from: String,
        /// What that is a copy of.
        of: String,
    },
    /// The store that is copied to was removed.
    #[error("{} disappeared since the copy began; what was copied is lost with it", place.display())]
    Gone {
        /// The journal of the copy.
        place: PathBuf,
    },
    /// Two copies at the same time.
    #[error("another copy between these stores is at work ({} is locked); wait for it", place.display())]
    UnderWay {
        /// Its journal.
        place: PathBuf,
    },
    /// The journal makes no sense.
    #[error("{} {reason}", place.display())]
    Journal {
        /// Where it is.
        place: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The operating system refused.
    #[error("failed to {operation} {}: {source}", place.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On which file or directory.
        place: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl CopyError {
    /// 2 where another command line would have worked, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::SamePlace { .. } | Self::NoLayout { .. } | Self::Unfinished { .. } => 2,
            _ => 1,
        }
    }
}

/// Names the operation and the place of an error.
pub fn at(operation: &'static str, place: &Path) -> impl FnOnce(io::Error) -> CopyError + use<> {
    let place = place.to_owned();
    move |source| CopyError::Io { operation, place, source }
}

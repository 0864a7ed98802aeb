//! Which requests of a log are replayed.

use regex::bytes::Regex;

use crate::replay::ReplayError;
use crate::replay::choice::{Choice, has_static_name};

/// The value of `--requests`, as far as a log can tell.
#[derive(Debug)]
pub enum Chosen {
    /// Every one.
    All,
    /// Those without the name of a static file.
    Dynamic,
    /// Whose path, with its query, matches.
    Matching(Regex),
}

impl Chosen {
    /// What was chosen; all without a choice.
    pub fn new(choice: Option<&Choice>) -> Result<Self, ReplayError> {
        match choice {
            None | Some(Choice::All) => Ok(Self::All),
            Some(Choice::Dynamic) => Ok(Self::Dynamic),
            Some(Choice::Cookies) => Err(ReplayError::LogWithoutCookies),
            Some(Choice::Matching(pattern)) => Ok(Self::Matching(pattern.clone())),
        }
    }

    /// Whether a request is replayed.
    pub fn takes(&self, target: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Dynamic => !std::str::from_utf8(target).is_ok_and(has_static_name),
            Self::Matching(pattern) => pattern.is_match(target),
        }
    }

    /// In words, for the head of a table.
    pub fn describe(&self) -> String {
        match self {
            Self::All => "every one".to_owned(),
            Self::Dynamic => "no static files".to_owned(),
            Self::Matching(pattern) => format!("matching `{pattern}`"),
        }
    }
}

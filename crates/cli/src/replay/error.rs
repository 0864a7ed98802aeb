//! Why something cannot be replayed. All of it can be mended on the command line or in the file.

use std::time::Duration;

use thiserror::Error;

use super::har::HarError;
use super::input::{InputError, Kind};
use super::log::{LogError, SessionBy};
use crate::units::{grouped, human};

/// Why something cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// There is nothing that can be read.
    #[error("{path}: {reason}")]
    Input {
        /// The file.
        path: String,
        /// Why.
        reason: InputError,
    },
    /// The recording of a page load cannot be read.
    #[error("{path}: {reason}")]
    Har {
        /// The file.
        path: String,
        /// Why.
        reason: HarError,
    },
    /// The access log cannot be read.
    #[error("{path}: {reason}")]
    Log {
        /// The file.
        path: String,
        /// Why.
        reason: LogError,
    },
    /// An option that makes no sense for this file.
    #[error("{option} is for {}, and {path} is {}", whose.describe(), whose.other().describe())]
    NotFor {
        /// The option.
        option: &'static str,
        /// The file.
        path: String,
        /// What the option is for.
        whose: Kind,
    },
    /// `--requests cookies` for a log.
    #[error(
        "`--requests cookies` is for HAR recordings; of an access log `--session-by cookie:NAME` \
         takes the requests with that cookie"
    )]
    LogWithoutCookies,
    /// No request of the log was chosen.
    #[error("none of the log's {} requests was chosen; `--requests all` takes every one", grouped(*all))]
    NothingChosen {
        /// How many there are.
        all: u64,
    },
    /// No request that belongs to a session.
    #[error("none of {} requests belongs to a session by {by}; {}", grouped(*chosen), name_session(by))]
    NoSession {
        /// How many were chosen.
        chosen: u64,
        /// What makes a session.
        by: Box<SessionBy>,
    },
    /// More sessions than a store is asked to take.
    #[error(
        "the log has {} sessions by {by}, and at most {} are replayed; choose some requests with \
         --requests, or replay a part of it, as in `head -n 1000000 LOG | cloakroom replay -`",
        grouped((*sessions).into()), grouped((*most).into())
    )]
    TooManySessions {
        /// How many there are.
        sessions: u32,
        /// How many may be.
        most: u32,
        /// What makes a session.
        by: Box<SessionBy>,
    },
    /// No such page in the recording.
    #[error("--page {asked}: the recording has {pages} page(s)")]
    NoSuchPage {
        /// What was asked for.
        asked: u32,
        /// How many there are.
        pages: usize,
    },
    /// Nothing to replay.
    #[error("{}", too_few(*chosen, *all, *is_all, *cookies_missing))]
    TooFewRequests {
        /// How many were chosen.
        chosen: usize,
        /// How many there are.
        all: usize,
        /// Whether all were asked for.
        is_all: bool,
        /// Whether cookies were asked for and the recording has none at all.
        cookies_missing: bool,
    },
    /// The replay would take longer than anybody waits.
    #[error("the chosen requests are spread over {}; {remedy}", human(*span))]
    TooLong {
        /// How long one run would take.
        span: Duration,
        /// What makes it shorter.
        remedy: String,
    },
}

fn too_few(chosen: usize, all: usize, is_all: bool, cookies_missing: bool) -> String {
    let mut text = match chosen {
        0 => format!("none of the recording's {all} requests was chosen"),
        _ => format!("only {chosen} of the recording's {all} requests was chosen"),
    };
    text.push_str(", and it takes two to wait for each other");
    if is_all {
        text.push_str("; record a page that sends more");
    } else {
        text.push_str("; `--requests all` takes every one");
    }
    if cookies_missing {
        text.push_str(
            ". The recording holds no cookies at all: browsers leave them out unless you \
             export it with sensitive data",
        );
    }
    text
}

const fn name_session(by: &SessionBy) -> &'static str {
    match by {
        SessionBy::Cookie(_) => {
            "the log needs the cookies in quotes in a field after the agent, as \"%{Cookie}i\" of \
             Apache or \"$http_cookie\" of nginx"
        }
        _ => "without --session-by each address with its agent has one",
    }
}

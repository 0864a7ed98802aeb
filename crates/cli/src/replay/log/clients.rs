//! Which session a line belongs to.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::{BuildHasher, Hasher};

use cloakroom::{Key, SessionId};
use regex::bytes::Regex;

use super::line::Line;

/// The value of `--session-by`: what makes lines belong together.
#[derive(Clone, Debug)]
pub enum SessionBy {
    /// The client: its address and its agent.
    Client,
    /// The client's address alone.
    Address,
    /// The cookie of this name, in a field of the log that has cookies.
    Cookie(String),
    /// What the first group matches in the line.
    Group(Regex),
}

impl SessionBy {
    /// Reads a value of `--session-by`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "client" => return Ok(Self::Client),
            None if text == "address" => return Ok(Self::Address),
            Some(("cookie", "")) => return Err("the name of the cookie is missing".to_owned()),
            Some(("cookie", name)) => return Ok(Self::Cookie(name.to_owned())),
            _ => {}
        }
        let regex = Regex::new(text).map_err(|error| error.to_string())?;
        if regex.captures_len() < 2 {
            return Err("write `client`, `address`, `cookie:NAME`, or a regular expression whose \
                        first group, in parentheses, finds the session in a line"
                .to_owned());
        }
        Ok(Self::Group(regex))
    }

    /// What stands for the session of a line; none if the line has no session.
    fn ticket<'a>(&self, line: &Line<'a>) -> Option<[&'a [u8]; 2]> {
        match self {
            Self::Client => Some([line.address, line.agent()]),
            Self::Address => Some([line.address, b""]),
            Self::Cookie(name) => Some([cookie(line, name.as_bytes())?, b""]),
            Self::Group(regex) => {
                let group = regex.captures(line.whole)?.get(1)?;
                Some([group.as_bytes(), b""]).filter(|_| !group.is_empty())
            }
        }
    }

    /// What people may see of a session. Whoever knows a cookie is let into the session, so only
    /// the beginning of its hash is shown, and of anything that might be one.
    fn label(&self, ticket: [&[u8]; 2], line_number: u64) -> String {
        let printable = |text: &[u8]| -> String {
            let plain =
                |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
            text.iter().take(LABEL_MAX).map(plain).collect()
        };
        let [first, second] = ticket;
        match self {
            Self::Client => format!("{} {}", printable(first), printable(second)),
            Self::Address => printable(first),
            Self::Cookie(_) | Self::Group(_) => {
                let hash = Key::new("cloakroom-replay", &SessionId::from(first)).to_string();
                let hash: String = hash.chars().take(HASH_SHOWN).collect();
                format!("{hash}.. (first in line {line_number})")
            }
        }
    }
}

impl fmt::Display for SessionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("address and agent"),
            Self::Address => f.write_str("address"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Group(regex) => write!(f, "`{regex}`"),
        }
    }
}

/// Numbers sessions in the order in which they appear.
///
/// A session is known by 64 bits of a hash with a random key: a log of any length takes memory for
/// its sessions only. Of ten million sessions two are taken for one with a chance of 1 : 370,000.
pub struct Clients {
    /// What makes a session.
    pub by: SessionBy,
    hasher: RandomState,
    numbers: HashMap<u64, u32>,
    labels: Option<Vec<Box<str>>>,
}

impl Clients {
    /// No session yet. Labels cost more memory than all else.
    pub fn new(by: SessionBy, with_labels: bool) -> Self {
        let labels = with_labels.then(Vec::new);
        Self { by, hasher: RandomState::new(), numbers: HashMap::new(), labels }
    }

    /// How many sessions there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }

    /// What people may see of a session.
    pub fn label(&self, number: u32) -> &str {
        let label = self.labels.as_ref().and_then(|labels| labels.get(number as usize));
        label.map_or("", |label| label)
    }

    /// The number of the session of a line; none if the line has no session.
    pub fn number(&mut self, line: &Line<'_>, line_number: u64) -> Option<u32> {
        let ticket = self.by.ticket(line)?;
        let mut hasher = self.hasher.build_hasher();
        for part in ticket {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let next = self.count();
        match self.numbers.entry(hasher.finish()) {
            Entry::Occupied(number) => Some(*number.get()),
            Entry::Vacant(place) => {
                if let Some(labels) = &mut self.labels {
                    labels.push(self.by.label(ticket, line_number).into());
                }
                Some(*place.insert(next))
            }
        }
    }
}

/// The value of a cookie, in any field that has `NAME=VALUE; NAME=VALUE`. The fields of the
/// combined format hold none.
fn cookie<'a>(line: &Line<'a>, name: &[u8]) -> Option<&'a [u8]> {
    line.quoted().skip(2).flat_map(|field| field.split(|byte| *byte == b';')).find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

/// Labels are cut after so many bytes of each part.
const LABEL_MAX: usize = 80;

/// Hex digits: enough to tell sessions apart, too few to find what was hashed.
const HASH_SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::date::Dates;
    use super::*;

    fn numbers(by: &str, ends: &[&str]) -> Result<(Vec<Option<u32>>, Vec<String>), String> {
        let mut clients = Clients::new(SessionBy::parse(by)?, true);
        let mut numbers = Vec::new();
        for (end, number) in ends.iter().zip(1..) {
            let (address, rest) = end.split_once(' ').unwrap_or((end, ""));
            let text = format!(
                "{address} - - [17/May/2015:10:05:03 +0000] \"GET /?s=9 HTTP/1.1\" 200 5 {rest}"
            );
            let line = Line::parse(text.as_bytes(), &mut Dates::default());
            numbers.push(clients.number(&line.map_err(|why| why.to_string())?, number));
        }
        let labels =
            (0..).take(clients.count() as usize).map(|n| clients.label(n).to_owned()).collect();
        Ok((numbers, labels))
    }

    #[test]
    fn address_and_agent_make_a_client() -> Result<(), String> {
        let ends =
            ["a \"-\" \"x\"", "a \"-\" \"y\"", "a \"/\" \"x\"", "b \"-\" \"x\"", "a", "ax \"-\""];
        let (by_client, labels) = numbers("client", &ends)?;
        assert_eq!(by_client, [Some(0), Some(1), Some(0), Some(2), Some(3), Some(4)]);
        assert_eq!(labels, ["a x", "a y", "b x", "a ", "ax "]);
        let (by_address, labels) = numbers("address", &ends)?;
        assert_eq!(by_address, [Some(0), Some(0), Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(labels, ["a", "b", "ax"]);
        Ok(())
    }

    #[test]
    fn cookies_are_found_by_name_and_never_shown() -> Result<(), String> {
        let (numbers, labels) = numbers(
            "cookie:sid",
            &[
                "a \"-\" \"sid=agent\" \"a=1; sid=secret1; b=2\"",
                "b \"-\" \"x\" 12 \"-\" \"sid=secret2\"",
                "c \"-\" \"x\" \"sid=secret1\"",
                "d \"-\" \"x\" \"xsid=secret1; sid=\"",
                "e \"-\" \"x\" \"-\"",
                "f",
            ],
        )?;
        assert_eq!(numbers, [Some(0), Some(1), Some(0), None, None, None]);
        assert!(labels.iter().all(|label| !label.contains("secret")), "{labels:?}");
        assert!(labels.get(1).is_some_and(|label| label.ends_with("line 2)")), "{labels:?}");
        Ok(())
    }

    #[test]
    fn the_first_group_of_an_expression_finds_the_session() -> Result<(), String> {
        let (found, labels) = numbers(r"^(?:10\.(\d+)\.)", &["10.1.2", "10.2.2", "10.1.9", "b"])?;
        assert_eq!(found, [Some(0), Some(1), Some(0), None]);
        assert_eq!(labels.len(), 2);
        assert_eq!(numbers("[?&]s=([^ &]+)", &["a", "b"])?.0, [Some(0), Some(0)]);
        Ok(())
    }

    #[test]
    fn words_that_are_nothing_are_refused() {
        for text in ["", "adress", "cookie", "cookie:", "(", "no group"] {
            assert!(SessionBy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_are_printable_and_short() -> Result<(), String> {
        let agent = format!("a \"-\" \"\u{1b}[31m\u{202e}{}\"", "x".repeat(500));
        let (_, labels) = numbers("client", &[&agent])?;
        let fits = |label: &String| {
            label.len() < 200 && label.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        };
        assert!(labels.iter().all(fits), "{labels:?}");
        Ok(())
    }
}

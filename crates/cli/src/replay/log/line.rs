//! One line of an access log: the common format, whatever follows it, and whatever a virtual host
//! or a log collector wrote before it.
//!
//! ```text
//! [host:port ]address - user [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 512 ...
//! ```
//!
//! Nothing is copied and nothing allocated: the parts are those of the line, escaped as they are.

use memchr::{memchr, memchr2};
use thiserror::Error;

use super::date::Dates;
use super::fields::{Field, Fields};
use crate::replay::modes;

/// A line that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// All of it.
    pub whole: &'a [u8],
    /// The client's address, or its name.
    pub address: &'a [u8],
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// What was asked for; none where the client sent no request of HTTP.
    pub request: Option<HttpRequest<'a>>,
    /// What follows the size of the response.
    pub rest: &'a [u8],
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// `GET` and so on.
    pub method: &'a [u8],
    /// The path with its query.
    pub target: &'a [u8],
}

/// Why a line was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Longer than any server writes.
    #[error("longer than {} KiB", super::lines::LINE_BYTES_MAX >> 10)]
    TooLong,
    /// A file system wrote it after a crash.
    #[error("it holds NUL bytes")]
    Nul,
    /// Nothing in brackets.
    #[error("no date in brackets")]
    NoDate,
    /// In brackets is something else, or no such day.
    #[error("no date as [17/May/2015:10:05:03 +0000]")]
    Date,
    /// The month is none, as other languages have it.
    #[error("no month in English, as Jan, Feb, Mar")]
    Month,
    /// Too little before the date.
    #[error("no client address, identity and user before the date")]
    Client,
    /// No request after the date.
    #[error("no request in quotes after the date")]
    Request,
    /// No status and size after the request.
    #[error("no status and size after the request")]
    Status,
}

impl<'a> Line<'a> {
    /// Reads a line without its line end.
    pub fn parse(whole: &'a [u8], dates: &mut Dates) -> Result<Self, Malformed> {
        if memchr(0, whole).is_some() {
            return Err(Malformed::Nul);
        }
        let (head, text) = split_at_date(whole).ok_or(Malformed::NoDate)?;
        let (at_us, text) = dates.read(text)?;
        let address = address(head).ok_or(Malformed::Client)?;
        let text = text.strip_prefix(b" \"").ok_or(Malformed::Request)?;
        let (request, text) = quoted(text).ok_or(Malformed::Request)?;
        let rest = after_status_and_size(text).ok_or(Malformed::Status)?;
        Ok(Self { whole, address, at_us, request: HttpRequest::parse(request), rest })
    }

    /// The fields after the size of the response.
    pub const fn fields(&self) -> Fields<'a> {
        Fields::new(self.rest)
    }

    /// The fields in quotes after the size of the response. In the combined format there are two:
    /// the page that linked here, and the agent.
    pub fn quoted(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields().filter_map(|field| match field {
            Field::Quoted(text) => Some(text),
            Field::Bare(_) => None,
        })
    }

    /// The client's program; empty if the log does not have it.
    pub fn agent(&self) -> &'a [u8] {
        self.quoted().nth(1).unwrap_or_default()
    }
}

impl<'a> HttpRequest<'a> {
    /// Whether it only reads its session, as far as its method tells.
    pub fn only_reads(&self) -> bool {
        modes::only_reads(self.method)
    }

    /// Reads `GET /path HTTP/1.1`. None is a connection without a request, or one that did not
    /// speak HTTP.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let (method, rest) = split_once(text, b' ')?;
        let is_method = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
        let target = split_once(rest, b' ').map_or(rest, |(target, _)| target);
        (is_method && !target.is_empty()).then_some(Self { method, target })
    }
}

/// Splits quoted text, behind its opening quote, at the closing one. A backslash takes the next
/// byte along.
pub fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let place = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(place) == Some(&b'"') {
            return Some((text.get(..place)?, text.get(place + 1..)?));
        }
        from = place + 2;
    }
}

/// What stands before the first bracket that begins a field, and what stands in and behind it.
fn split_at_date(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let place = from + memchr(b'[', line.get(from..)?)?;
        if let Some(head) = line.get(..place).and_then(|before| before.strip_suffix(b" ")) {
            return Some((head, line.get(place + 1..)?));
        }
        from = place + 1;
    }
}

/// The client in `address identity user`. Nobody asks clients for their identity, so it is `-`, and
/// that shows where the address is if more stands before it, or if the user's name has blanks.
fn address(head: &[u8]) -> Option<&[u8]> {
    let mut before = None;
    let mut fields = head.split(|byte| *byte == b' ');
    while let Some(field) = fields.next() {
        match before {
            Some(address) if field == b"-" && fields.next().is_some() => return Some(address),
            _ => before = Some(field).filter(|field| !field.is_empty()),
        }
    }
    let mut fields = head.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    match [fields.next(), fields.next(), fields.next(), fields.next()] {
        [address, Some(_), Some(_), None] => address,
        _ => None,
    }
}

/// What follows `200 512`, of which either may be missing, as `-`.
fn after_status_and_size(text: &[u8]) -> Option<&[u8]> {
    let is_number =
        |field: &[u8]| field == b"-" || !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    let (status, text) = split_once(text.strip_prefix(b" ")?, b' ')?;
    let end = memchr(b' ', text).unwrap_or(text.len());
    let (size, rest) = text.split_at_checked(end)?;
    (is_number(status) && is_number(size)).then_some(rest)
}

fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr(byte, text)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str =
        r#"192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 512"#;

    fn parse(line: &str) -> Result<Line<'_>, Malformed> {
        Line::parse(line.as_bytes(), &mut Dates::default())
    }

    fn address_in(head: &str) -> Option<&str> {
        address(head.as_bytes()).and_then(|address| std::str::from_utf8(address).ok())
    }

    #[test]
    fn the_parts_of_a_common_line_are_found() {
        let request = HttpRequest { method: b"GET", target: b"/a?b" };
        let line = Line {
            whole: COMMON.as_bytes(),
            address: b"192.0.2.1",
            at_us: 1_431_857_103_000_000,
            request: Some(request),
            rest: b"",
        };
        assert_eq!(parse(COMMON), Ok(line));
        assert_eq!(line.agent(), b"");
    }

    #[test]
    fn the_agent_is_the_second_field_in_quotes() {
        for (rest, agent) in [
            (r#" "http://shop.example/" "Agent/1.0 (x; y)""#, r"Agent/1.0 (x; y)"),
            (r#" "-" "say \"hi\" \\" 123"#, r#"say \"hi\" \\"#),
            (r#" 1234 "-" "Agent/1.0" "a=1""#, "Agent/1.0"),
            (r#" "-" "cut off in the ag"#, "cut off in the ag"),
            (r#" "-" "cut off \"#, r"cut off \"),
            (r#" "-" """#, ""),
            (r#" "-""#, ""),
        ] {
            let line = format!("{COMMON}{rest}");
            assert_eq!(parse(&line).map(|line| line.agent()), Ok(agent.as_bytes()), "{rest}");
        }
    }

    #[test]
    fn the_address_stands_before_the_identity_whatever_else_does() {
        assert_eq!(address_in("192.0.2.1 - -"), Some("192.0.2.1"));
        assert_eq!(address_in("2001:db8::1 - alice"), Some("2001:db8::1"));
        assert_eq!(address_in("192.0.2.1 - Alice B. Carrol"), Some("192.0.2.1"));
        assert_eq!(address_in("shop.example:443 192.0.2.1 - -"), Some("192.0.2.1"));
        assert_eq!(address_in("[2001:db8::9]:443 2001:db8::1 - -"), Some("2001:db8::1"));
        assert_eq!(address_in("May 17 10:05:03 web1 nginx: 192.0.2.1 - -"), Some("192.0.2.1"));
        assert_eq!(address_in("192.0.2.1 ident alice"), Some("192.0.2.1"));
        assert_eq!(address_in("- - -"), Some("-"));
        for head in ["", "192.0.2.1", "192.0.2.1 -", "- -", " - -", "a b c d"] {
            assert_eq!(address_in(head), None, "{head}");
        }
    }

    #[test]
    fn a_connection_without_a_request_is_a_line_all_the_same() {
        for request in ["-", "", r"\x16\x03\x01", "GET", "GET ", "get / HTTP/1.1", "a b"] {
            let line = COMMON.replace("GET /a?b HTTP/1.1", request);
            assert_eq!(parse(&line).map(|line| line.request), Ok(None), "{request}");
        }
        let old = COMMON.replace(" HTTP/1.1", "");
        assert!(parse(&old).is_ok_and(|line| line.request.is_some()), "HTTP/0.9 has no version");
    }

    #[test]
    fn each_line_that_is_not_understood_says_why() {
        let without = |part: &str| COMMON.replace(part, "");
        for (line, why) in [
            (String::new(), Malformed::NoDate),
            ("Starting up [done]".to_owned(), Malformed::Date),
            (without("[17/May/2015:10:05:03 +0000] "), Malformed::NoDate),
            (COMMON.replace("May", "Mai"), Malformed::Month),
            (COMMON.replace("17/May", "31/Jun"), Malformed::Date),
            (without("- - "), Malformed::Client),
            (without("\""), Malformed::Request),
            (COMMON.replace("1.1\"", "1.1"), Malformed::Request),
            (without(" 512"), Malformed::Status),
            (without(" 200 512"), Malformed::Status),
            (COMMON.replace("512", "many"), Malformed::Status),
            (format!("\0\0\0{COMMON}"), Malformed::Nul),
        ] {
            assert_eq!(parse(&line).err(), Some(why), "{line}");
        }
    }

    #[test]
    fn a_line_that_ends_or_changes_anywhere_does_no_harm() {
        let line = format!(r#"{COMMON} "-" "say \"hi\"" 12 0.5 x="y" z"#);
        for end in 0..line.len() {
            let cut = line.get(..end).unwrap_or_default();
            let understood = parse(cut).is_ok();
            assert_eq!(understood, end > COMMON.len() - 3, "{cut}");
            for byte in *b"\"\\[] -\x00\xff" {
                let mut changed = line.clone().into_bytes();
                if let Some(place) = changed.get_mut(end) {
                    *place = byte;
                }
                if let Ok(line) = Line::parse(&changed, &mut Dates::default()) {
                    assert!(line.fields().count() < 20);
                }
            }
        }
    }
}

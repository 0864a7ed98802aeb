//! Cookies, read and written. What a browser sends may be anything; what goes out is ASCII
//! without control characters, by construction.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use crate::limits;

/// The value of a `Set-Cookie` header. It never contains a control character, a line break or a
/// byte outside ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct SetCookie(String);

impl SetCookie {
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SetCookie {
    /// Name and attributes; the value is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split('=').next().unwrap_or_default();
        let attributes = self.0.split_once(';').map_or("", |(_, attributes)| attributes);
        write!(f, "SetCookie({name}=..;{attributes})")
    }
}

/// When a browser sends a cookie along with requests that other sites caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never: who follows a link from elsewhere arrives without a session.
    Strict,
    /// Only when a page is opened by a link. Forms, scripts and frames of other sites act without it.
    #[default]
    Lax,
    /// Always. For pages in frames of other sites; needs Secure, and protection against forged
    /// requests of your own.
    None,
}

/// The cookie of a manager, but for its value.
pub(crate) struct Template {
    pub(crate) name: String,
    /// What follows the value, without the age.
    attributes: String,
    age: String,
}

/// The attributes that a cookie can have. They were checked.
pub(crate) struct Attributes<'a> {
    pub(crate) domain: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) max_age: Option<Duration>,
}

impl Template {
    /// The safe attributes, for the cookie `id`.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        let attributes = Attributes {
            domain: None,
            path: "/",
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            max_age: None,
        };
        Self::new("id".to_owned(), &attributes)
    }

    pub(crate) fn new(name: String, with: &Attributes<'_>) -> Self {
        let mut attributes = format!("; Path={}", with.path);
        if let Some(domain) = with.domain {
            let _ = write!(attributes, "; Domain={domain}");
        }
        attributes.push_str(if with.secure { "; Secure" } else { "" });
        attributes.push_str(if with.http_only { "; HttpOnly" } else { "" });
        attributes.push_str(match with.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        let age = with.max_age.map(|age| format!("; Max-Age={}", age.as_secs()));
        Self { name, attributes, age: age.unwrap_or_default() }
    }

    /// A cookie of this name, which is the template's or that of a piece.
    pub(crate) fn set(&self, name: &str, value: &str) -> SetCookie {
        SetCookie(format!("{name}={value}{}{}", self.age, self.attributes))
    }

    /// Makes the browser forget the cookie of this name.
    pub(crate) fn expire(&self, name: &str) -> SetCookie {
        SetCookie(format!("{name}={EXPIRED}{}", self.attributes))
    }

    /// How many bytes [`set`](Self::set) makes of a name and a value of these lengths.
    pub(crate) fn size(&self, name: usize, value: usize) -> usize {
        name + 1 + value + self.age.len() + self.attributes.len()
    }
}

/// A session cookie of a request.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which piece of a cookie it is, by the number behind its name; `None`: the whole.
    pub(crate) piece: Option<u8>,
    pub(crate) value: String,
}

impl Found {
    /// What the browser calls it, if `name` is the whole cookie.
    pub(crate) fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        self.piece.map_or(name.into(), |number| format!("{name}.{number}").into())
    }
}

/// The cookies of these `Cookie` headers that bear this name, or that of a piece of it. Those whose
/// value no manager makes are left out: too long, or of other characters.
pub(crate) fn find(headers: &[&[u8]], name: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for header in headers {
        // Bytes that are no text are replaced by what no manager makes values of, either.
        let text = std::str::from_utf8(header)
            .map_or_else(|_| String::from_utf8_lossy(header), Cow::Borrowed);
        let ours = text.split(';').filter_map(|cookie| read(cookie, name));
        found.extend(ours.take(limits::CANDIDATES - found.len()));
    }
    found
}

fn read(cookie: &str, name: &str) -> Option<Found> {
    // By its name first, for most cookies are those of others.
    let rest = cookie.trim_ascii_start().strip_prefix(name)?;
    let (rest, value) = rest.split_once('=')?;
    let piece = match rest.trim_ascii_end().as_bytes() {
        [] => None,
        [b'.', digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => return None,
    };
    let value = unquote(value.trim_ascii());
    let fits = !value.is_empty() && value.len() <= limits::COOKIE_MAX;
    let is_plain = |byte: u8| PLAIN.get(usize::from(byte)) == Some(&true);
    (fits && value.bytes().all(is_plain)).then(|| Found { piece, value: value.to_owned() })
}

/// The bytes that a manager makes values of, in a table: this is asked of each byte of each session cookie.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "byte < 256")]
        {
            plain[byte] =
                matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        }
        byte += 1;
    }
    plain
};

fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

const EXPIRED: &str = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

#[cfg(test)]
mod tests {
    use super::*;

    fn values(headers: &[&[u8]]) -> Vec<String> {
        find(headers, "id")
            .into_iter()
            .map(|found| format!("{}:{}", found.name("id"), found.value))
            .collect()
    }

    #[test]
    fn cookies_are_found_among_others_in_several_headers_quoted_or_not() {
        assert_eq!(
            values(&[b"a=b; id=x1; c=d", b"id=\"y-_.\"", b"id.3=z"]),
            ["id:x1", "id:y-_.", "id.3:z"]
        );
        assert_eq!(values(&[b"  id =  x  ;;id=y"]), ["id:x", "id:y"]);
    }

    #[test]
    fn what_no_manager_sets_is_left_out() {
        let long = [b"id=".as_slice(), &[b'a'; 4_097]].concat();
        let headers: [&[u8]; 14] = [
            b"",
            b"id",
            b"id=",
            b"=x",
            b"ID=x",
            b"xid=x",
            b"id=\xff\xfe",
            b"id=a%2e",
            b"id=a\r\nb",
            b"id=\"x",
            b"id.x=1",
            b"id.12=1",
            b"id..1=1",
            &long,
        ];
        assert_eq!(values(&headers), [""; 0]);
        assert_eq!(values(&[&b"id=x;".repeat(100)]).len(), limits::CANDIDATES);
    }

    #[test]
    fn no_header_however_strange_makes_the_reader_panic_or_find_what_no_manager_sets() {
        let pieces: [&[u8]; 16] = [
            b"id",
            b"=",
            b";",
            b"\"",
            b" ",
            b".",
            b"1",
            b"\0",
            b"\r\n",
            b"\xf0\x9f\xa7\xa5",
            b"\xff",
            b"a",
            b"%3D",
            b",",
            b"\t",
            b"id=A",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..50_000 {
            let mut header = Vec::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let piece = usize::try_from(state >> 60).unwrap_or_default();
                header.extend_from_slice(pieces.get(piece).copied().unwrap_or_default());
            }
            for Found { value, .. } in find(&[&header], "id") {
                assert!(
                    !value.is_empty()
                        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                );
            }
        }
    }

    #[test]
    fn a_value_that_was_set_is_found_again() {
        let template = Template::of_test();
        let cookie = template.set("id", "abc.DEF-_");
        assert_eq!(cookie.as_str(), "id=abc.DEF-_; Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(template.size(2, 9), cookie.as_str().len());
        let sent = cookie.as_str().split(';').next().unwrap_or_default();
        assert_eq!(values(&[sent.as_bytes()]), ["id:abc.DEF-_"]);
        assert!(!format!("{cookie:?}").contains("abc"));
    }
}

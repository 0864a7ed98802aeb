//! Cookies, read and written. What a browser sends may be anything; what goes out is ASCII
//! without control characters, by construction.

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

/// The number behind the name of a piece; `None` in the inner option: the whole cookie.
pub(crate) fn number(name: &str, cookie: &str) -> Option<Option<usize>> {
    let rest = cookie.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(None);
    }
    let number = rest.strip_prefix('.')?;
    (number.len() == 1).then(|| number.parse().ok().map(Some)).flatten()
}

/// A session cookie of a request.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The cookies of these `Cookie` headers that bear this name, or that of a piece of it. Those whose
/// value no manager makes are left out: too long, or of other characters.
pub(crate) fn find(headers: &[&[u8]], name: &str) -> Vec<Found> {
    let cookies = headers.iter().flat_map(|header| header.split(|byte| *byte == b';'));
    let ours = cookies.filter_map(|cookie| {
        let equals = cookie.iter().position(|byte| *byte == b'=')?;
        let (cookie, value) = cookie.split_at_checked(equals)?;
        let cookie = std::str::from_utf8(cookie.trim_ascii()).ok()?;
        number(name, cookie)?;
        let value = unquote(value.get(1..)?.trim_ascii());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let fits = !value.is_empty() && value.len() <= limits::COOKIE_MAX;
        let value = (fits && value.iter().all(plain)).then(|| std::str::from_utf8(value).ok());
        Some(Found { name: cookie.to_owned(), value: value.flatten()?.to_owned() })
    });
    ours.take(limits::CANDIDATES).collect()
}

fn unquote(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

const EXPIRED: &str = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

#[cfg(test)]
mod tests {
    use super::*;

    fn values(headers: &[&[u8]]) -> Vec<String> {
        find(headers, "id")
            .into_iter()
            .map(|found| format!("{}:{}", found.name, found.value))
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
            for Found { name, value } in find(&[&header], "id") {
                assert!(name == "id" || name.starts_with("id."), "{name}");
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

//! Whose server a URL leads to.

use std::net::IpAddr;

/// A site: what belongs to one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// A name that can be registered, as `example.co.uk`; hosts below it belong to it.
    Domain(String),
    /// An address, or a name without a public suffix, as `localhost`.
    Host(String),
}

impl Site {
    /// The site of a URL; none if it leads to no web server.
    pub fn of(url: &str) -> Option<Self> {
        let host = host(url)?;
        if host.parse::<IpAddr>().is_ok() {
            return Some(Self::Host(host));
        }
        Some(match psl::domain_str(host.trim_end_matches('.')) {
            Some(domain) => Self::Domain(domain.to_owned()),
            None => Self::Host(host),
        })
    }
}

/// The host of a URL of the web, in lower case and without user, port and brackets.
fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Method and path, as people name a request.
pub fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|start| rest.get(start..)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Option<Site> {
        Some(Site::Domain(name.to_owned()))
    }

    #[test]
    fn hosts_below_a_registrable_domain_are_one_site() {
        assert_eq!(Site::of("https://edition.cnn.com/a?b#c"), domain("cnn.com"));
        assert_eq!(Site::of("HTTP://WWW.Example.CO.UK:8080/"), domain("example.co.uk"));
        assert_eq!(Site::of("https://user:secret@api.shop.example"), domain("shop.example"));
        assert_ne!(Site::of("https://a.github.io/"), Site::of("https://b.github.io/"));
    }

    #[test]
    fn addresses_and_local_names_are_compared_as_they_are() {
        let host = |name: &str| Some(Site::Host(name.to_owned()));
        assert_eq!(Site::of("http://127.0.0.1:8000/"), host("127.0.0.1"));
        assert_eq!(Site::of("http://[::1]:8000/"), host("::1"));
        assert_eq!(Site::of("http://localhost/"), host("localhost"));
    }

    #[test]
    fn what_leads_to_no_web_server_has_no_site() {
        for url in ["", "data:text/plain,x", "about:blank", "chrome-extension://abc/x", "http://"] {
            assert_eq!(Site::of(url), None, "{url}");
        }
    }

    #[test]
    fn a_path_is_what_follows_the_host() {
        assert_eq!(path("https://shop.example/api/cart?id=1"), "/api/cart?id=1");
        assert_eq!(path("https://shop.example"), "/");
        assert_eq!(path("nonsense"), "/");
    }
}

//! Which requests of a recording are replayed: those that would have opened the session.

use super::recording::Entry;
use super::site::{self, Site};
use crate::replay::choice::{Choice, has_static_name};

impl Choice {
    /// The chosen ones of these, which are in the order they were sent. Never chosen is what no
    /// server saw: answers from the browser's cache, `data:` URLs and the like.
    pub fn choose<'a>(&self, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let site = own_site(entries);
        let is_own = |entry: &Entry| site.is_some() && Site::of(&entry.url) == site;
        entries
            .iter()
            .filter(|entry| !entry.from_cache && Site::of(&entry.url).is_some())
            .filter(|entry| match self {
                Self::Dynamic => is_own(entry) && !is_static(entry),
                Self::Cookies => is_own(entry) && entry.has_cookie,
                Self::All => true,
                Self::Matching(pattern) => pattern.is_match(entry.url.as_bytes()),
            })
            .collect()
    }

    /// In words, for the head of a table.
    pub fn describe(&self) -> String {
        match self {
            Self::Dynamic => "to its own site, no static files".to_owned(),
            Self::Cookies => "to its own site, with a cookie".to_owned(),
            Self::All => "every one".to_owned(),
            Self::Matching(pattern) => format!("matching `{pattern}`"),
        }
    }
}

/// The site of the first document: of the page itself, where redirects have led to.
fn own_site(entries: &[Entry]) -> Option<Site> {
    let document = entries.iter().find(|entry| {
        !(300..400).contains(&entry.status) && matches!(entry.mime.as_str(), "text/html" | XHTML)
    });
    document.into_iter().chain(entries).find_map(|entry| Site::of(&entry.url))
}

/// Whether the response is a file that needs no session to be sent.
fn is_static(entry: &Entry) -> bool {
    let (kind, subtype) = entry.mime.split_once('/').unwrap_or((&entry.mime, ""));
    match kind {
        "image" | "font" | "audio" | "video" => return true,
        _ => {}
    }
    match subtype {
        "css" | "javascript" | "x-javascript" | "ecmascript" | "wasm" | "manifest+json"
        | "vnd.ms-fontobject" => true,
        font if font.contains("font") => true,
        // These say nothing about what it is; the name may.
        "" | "plain" | "octet-stream" => {
            !entry.by_script && has_static_name(site::path(&entry.url))
        }
        _ => false,
    }
}

const XHTML: &str = "application/xhtml+xml";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(url: &str, mime: &str) -> Entry {
        Entry {
            started: jiff::Timestamp::UNIX_EPOCH,
            wait: Duration::ZERO,
            method: "GET".to_owned(),
            url: url.to_owned(),
            mime: mime.to_owned(),
            status: 200,
            has_cookie: false,
            by_script: false,
            from_cache: false,
            page: None,
        }
    }

    fn chosen(choice: &str, entries: &[Entry]) -> Vec<String> {
        Choice::parse(choice).map_or_else(
            |error| vec![error],
            |choice| choice.choose(entries).into_iter().map(|entry| entry.url.clone()).collect(),
        )
    }

    fn page() -> Vec<Entry> {
        vec![
            Entry { status: 301, ..entry("http://short.example/", "text/html") },
            entry("https://www.shop.example/", "text/html"),
            entry("https://cdn.shop.example/style.css", "text/css"),
            entry("https://static.shop.example/a.woff2", "application/font-woff2"),
            entry("https://api.shop.example/cart", "application/json"),
            entry("https://www.shop.example/empty", ""),
            entry("https://www.shop.example/unchanged.png?v=2", ""),
            entry("https://ads.example/pixel", "application/json"),
            entry("data:text/html,hello", "text/html"),
            Entry { from_cache: true, ..entry("https://www.shop.example/old", "text/html") },
        ]
    }

    #[test]
    fn dynamic_requests_to_the_pages_own_site_are_chosen() {
        assert_eq!(
            chosen("dynamic", &page()),
            [
                "https://www.shop.example/",
                "https://api.shop.example/cart",
                "https://www.shop.example/empty",
            ],
        );
    }

    #[test]
    fn requests_with_cookies_are_chosen_whatever_they_fetch() {
        let mut page = page();
        for entry in &mut page {
            entry.has_cookie = true;
        }
        assert_eq!(chosen("cookies", &page).len(), 6);
    }

    #[test]
    fn all_leaves_out_only_what_no_server_saw() {
        assert_eq!(chosen("all", &page()).len(), 8);
    }

    #[test]
    fn an_expression_is_searched_in_the_whole_url() {
        assert_eq!(chosen("/cart$", &page()), ["https://api.shop.example/cart"]);
        assert_eq!(chosen(r"\bCART\b", &page()), [""; 0]);
        assert_eq!(chosen(r"(?i)\bCART\b", &page()), ["https://api.shop.example/cart"]);
        assert_eq!(chosen(r"v=\d$", &page()).len(), 1);
        assert!(Choice::parse("(").is_err());
        assert!(Choice::parse("").is_err());
    }

    #[test]
    fn plain_text_is_dynamic_unless_its_name_says_otherwise() {
        let robots = entry("https://shop.example/robots.txt", "text/plain");
        assert!(is_static(&robots));
        assert!(!is_static(&Entry { by_script: true, ..robots }));
        assert!(!is_static(&entry("https://shop.example/answer", "text/plain")));
    }
}

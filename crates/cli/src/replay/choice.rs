//! Which requests are replayed.

use regex::bytes::Regex;

/// The value of `--requests`.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Those that are no static files; of a page load, to the page's own site only.
    Dynamic,
    /// Those with a cookie, to the page's own site.
    Cookies,
    /// Every one.
    All,
    /// Whose URL matches.
    Matching(Regex),
}

impl Choice {
    /// Reads a value of `--requests`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "dynamic" => Ok(Self::Dynamic),
            "cookies" => Ok(Self::Cookies),
            "all" => Ok(Self::All),
            "" => Err("write `dynamic`, `cookies`, `all` or a regular expression".to_owned()),
            pattern => Regex::new(pattern).map(Self::Matching).map_err(|error| error.to_string()),
        }
    }
}

/// Whether a path, with or without a query, ends like the name of a file that needs no session.
pub fn has_static_name(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        STATIC_EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

const STATIC_EXTENSIONS: [&str; 26] = [
    "avif",
    "bmp",
    "css",
    "eot",
    "gif",
    "ico",
    "jpeg",
    "jpg",
    "js",
    "map",
    "mjs",
    "mp3",
    "mp4",
    "ogg",
    "otf",
    "pdf",
    "png",
    "svg",
    "ttf",
    "txt",
    "wasm",
    "webm",
    "webmanifest",
    "webp",
    "woff",
    "woff2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_files_are_known_by_their_extension() {
        for path in ["/a/b.css", "/B.PNG?v=2", "/x.min.js#top", "a.woff2"] {
            assert!(has_static_name(path), "{path}");
        }
        for path in ["/", "/css", "/a.css/b", "/a.php?file=b.css", "/js/", ""] {
            assert!(!has_static_name(path), "{path}");
        }
    }
}

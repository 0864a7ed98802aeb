//! What pages are made of.

use axum::response::Html;

/// A text as it stands in HTML, between tags and in quoted attributes. Whatever is not written here goes
/// through it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A page with this HTML in it.
pub fn page(title: &str, main: &str) -> Html<String> {
    let title = escape(title);
    Html(format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{title} - cloakroom</title>
<link rel=\"stylesheet\" href=\"/page.css\">
</head>
<body>
<header class=\"site\"><nav>\
<a href=\"/\">cloakroom</a> <a href=\"/count\">Counter</a> <a href=\"/login\">Login</a> \
<a href=\"/favorite_color\">Color</a> <a href=\"/session\">Session</a> <a href=\"/lab\">Lab</a>\
</nav></header>
<main>
<h1>{title}</h1>
{main}</main>
</body>
</html>
"
    ))
}

/// A table of names and values.
pub fn table<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let row = |(name, value): (&str, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(&value))
    };
    format!("<table>\n{}</table>\n", rows.into_iter().map(row).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_place_it_stands_in() {
        assert_eq!(
            escape("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;"
        );
        let Html(page) = page("</title><script>", &table([("<b>", "<script>".to_owned())]));
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    }
}

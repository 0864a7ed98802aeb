//! A plain cookie, without a session.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// What the cookie says.
pub async fn show(headers: HeaderMap) -> Response {
    let color = favorite(&headers).unwrap_or("no favorite color").to_owned();
    ([(VARY, "Cookie"), (CACHE_CONTROL, "private, no-cache")], color).into_response()
}

/// Sets it.
pub async fn set(Path(color): Path<String>) -> Response {
    if !is_color(&color) {
        let refusal = "A color has letters only, 1 to 32 of them, as in /favorite_color/blue.\n";
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    }
    let cookie = format!("{NAME}={color}; Path=/{NAME}; Max-Age=3600; SameSite=Lax");
    ([(SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())], color).into_response()
}

/// The first cookie of that name that is a color; browsers send whatever was set.
fn favorite(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, color)| (name == NAME && is_color(color)).then_some(color))
}

fn is_color(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

const NAME: &str = "favorite_color";

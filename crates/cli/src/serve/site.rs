//! All routes.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use cloakroom::Access;
use cloakroom_axum::SessionAccess;

use super::html;
use super::keeper::Keeper;
use super::lab::Lab;
use super::pages::{color, count, inspect, login};

/// What is served.
pub struct Site<'a> {
    /// The sessions of the pages.
    pub keeper: &'a Keeper,
    /// The stores of the lab.
    pub lab: &'a Lab,
    /// Whether the page that shows the session is there.
    pub inspect: bool,
}

impl Site<'_> {
    /// All of it.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(index))
            .route("/page.css", get(|| asset(CSS, PAGE_CSS)))
            // Browsers ask for it on every page, and complain of a 404.
            .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
            .route("/favorite_color", get(color::show))
            .route("/favorite_color/{color}", get(color::set))
            .merge(self.sessions())
            .merge(self.lab.router())
            .fallback(async || (StatusCode::NOT_FOUND, "There is no such page.\n"))
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(middleware::from_fn(protect))
    }

    /// The routes that have a session.
    fn sessions(&self) -> Router {
        let looking = self.keeper.look.clone();
        let inspect = if self.inspect {
            get(move |session, lazy| inspect::show(session, lazy, looking))
        } else {
            get(async || (StatusCode::NOT_FOUND, html::page("Not shown here", INSPECT_OFF)))
        };
        let mut routes = Router::new()
            .route("/count", get(count::count))
            .route("/reset", get(count::reset))
            .route("/login", get(login::show).post(login::check))
            .route("/logout", get(login::ask).post(login::end))
            .route("/session", inspect);
        if self.keeper.access == Access::Optimistic {
            // Where nothing is locked a request that was overtaken runs again; they change nothing but the session.
            routes = routes.layer(SessionAccess::optimistic().repeatable());
        }
        routes.layer(self.keeper.layer.clone())
    }
}

async fn index() -> Html<String> {
    html::page("Sessions from a cloakroom", INDEX)
}

/// A file that comes with the command.
pub async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

/// What every response says, also those of errors.
async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The name of the pages' cookie.
pub const COOKIE: &str = "session_id";

pub const HTML: &str = "text/html; charset=utf-8";
pub const CSS: &str = "text/css; charset=utf-8";
pub const JS: &str = "text/javascript; charset=utf-8";

const POLICY: &str = "default-src 'self'; frame-ancestors 'none'";

const BODY_MAX: usize = 64 << 10;

const PAGE_CSS: &str = include_str!("assets/page.css");

const INSPECT_OFF: &str = "\
<p>What is in a session is shown while you develop: on a loopback address, or with \
<code>cloakroom serve --development</code>.</p>
";

const INDEX: &str = "\
<p>A small application whose sessions are in a store. Open it in two browsers, restart the server, \
try to lose an update.</p>
<dl>
<dt><a href=\"/count\">/count</a></dt>
<dd>Counts your requests. <a href=\"/reset\">/reset</a> ends the session, and it begins anew.</dd>
<dt><a href=\"/login\">/login</a></dt>
<dd>Log in as <code>ada</code> with <code>lovelace</code>, or as <code>bob</code> with \
<code>builder</code>. <a href=\"/logout\">/logout</a> ends the session.</dd>
<dt><a href=\"/favorite_color\">/favorite_color</a></dt>
<dd>A plain cookie, without a session: <a href=\"/favorite_color/blue\">blue</a>, \
<a href=\"/favorite_color/green\">green</a>.</dd>
<dt><a href=\"/session\">/session</a></dt>
<dd>What is in your session, while you develop.</dd>
<dt><a href=\"/lab\">/lab</a></dt>
<dd>Parallel calls of one page: what each access of each store costs, and what gets lost.</dd>
</dl>
";

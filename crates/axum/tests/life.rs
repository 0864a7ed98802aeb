//! The life of a request's session, over every store and over sealed cookies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use cloakroom::Store;
use cloakroom_axum::{Error, LazySession, Session, Snapshot};
use common::{Browser, Stage, counter};
over!([memory file map sealed] [
    a_counter_counts_for_each_browser_and_begins_anew_after_a_reset
    a_route_that_never_asks_for_its_session_sets_nothing
    all_extractors_and_layers_of_a_request_share_one_session
    a_redirect_and_a_404_save_and_a_500_does_not
    a_handler_that_panics_saves_nothing
    a_response_is_for_its_browser_only_if_it_used_the_session
    a_handler_may_say_how_it_is_cached
    no_cache_may_keep_a_response_that_sets_the_cookie
    a_wrong_type_is_a_500_that_tells_nothing
    only_what_a_handler_changed_after_a_release_is_an_error
]);

async fn a_counter_counts_for_each_browser_and_begins_anew_after_a_reset<S: Store>(at: &Stage<S>) {
    let app = at.app(counter());
    let (ada, bob) = (Browser::default(), Browser::default());
    for expected in ["1", "2", "3"] {
        ada.get(&app, "/count").await.is(200, expected);
    }
    bob.get(&app, "/count").await.is(200, "1");
    ada.get(&app, "/reset").await.is(200, "Reset");
    assert!(ada.is_empty());
    ada.get(&app, "/count").await.is(200, "1");
    bob.get(&app, "/count").await.is(200, "2");
}

async fn a_route_that_never_asks_for_its_session_sets_nothing<S: Store>(at: &Stage<S>) {
    let app = at.app(counter().route("/static", get("hello")));
    let browser = Browser::default();
    let answer = browser.get(&app, "/static").await;
    answer.is(200, "hello");
    assert!(browser.is_empty());
    assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None));
}

async fn all_extractors_and_layers_of_a_request_share_one_session<S: Store>(at: &Stage<S>) {
    async fn note(session: Session, request: Request, next: Next) -> Result<Response, Error> {
        session.insert("layer", "before")?;
        let response = next.run(request).await;
        let handler: Option<String> = session.get("handler")?;
        assert_eq!(handler.as_deref(), Some("was here"));
        session.insert("layer", "after")?;
        Ok(response)
    }
    async fn handler(
        one: Session,
        two: Session,
        lazy: LazySession,
        three: Snapshot,
    ) -> Result<String, Error> {
        one.insert("handler", "was here")?;
        let four = lazy.open().await?;
        assert_eq!(two.keys()?, four.keys()?);
        assert_eq!(two.keys()?, three.keys()?);
        Ok(two.get::<String>("layer")?.unwrap_or_default())
    }
    async fn look(session: Session) -> Result<String, Error> {
        Ok(session.get::<String>("layer")?.unwrap_or_default())
    }
    let routes = Router::new().route("/", get(handler)).layer(from_fn(note));
    let app = at.app(routes.route("/look", get(look)));
    let browser = Browser::default();
    browser.get(&app, "/").await.is(200, "before");
    browser.get(&app, "/look").await.is(200, "after");
}

async fn a_redirect_and_a_404_save_and_a_500_does_not<S: Store>(at: &Stage<S>) {
    async fn with(status: StatusCode, session: Session) -> Result<Response, Error> {
        session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
        Ok(status.into_response())
    }
    async fn redirect(session: Session) -> Result<Redirect, Error> {
        session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
        Ok(Redirect::to("/look"))
    }
    let app = at.app(
        counter()
            .route("/303", get(redirect))
            .route("/404", get(|session| with(StatusCode::NOT_FOUND, session)))
            .route("/500", get(|session| with(StatusCode::INTERNAL_SERVER_ERROR, session)))
            .route("/503", get(|session| with(StatusCode::SERVICE_UNAVAILABLE, session))),
    );
    let browser = Browser::default();
    for (path, after) in
        [("/303", "Some(1)"), ("/404", "Some(2)"), ("/500", "Some(2)"), ("/503", "Some(2)")]
    {
        assert_eq!(browser.get(&app, path).await.status.to_string(), path[1..]);
        browser.get(&app, "/look").await.is(200, after);
    }
}

async fn a_handler_that_panics_saves_nothing<S: Store>(at: &Stage<S>) {
    async fn fail(session: Session) -> Result<(), Error> {
        session.insert("count", 99)?;
        panic!("as planned");
    }
    let app = at.app(counter().route("/panic", get(fail)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let (tab, same) = (browser.clone(), app.clone());
    let panicked = tokio::spawn(async move { tab.get(&same, "/panic").await }).await;
    assert!(panicked.is_err_and(|error| error.is_panic()));
    browser.get(&app, "/count").await.is(200, "2");
}

async fn a_response_is_for_its_browser_only_if_it_used_the_session<S: Store>(at: &Stage<S>) {
    let app = at.app(counter());
    for path in ["/count", "/look"] {
        let answer = Browser::default().get(&app, path).await;
        assert_eq!(answer.header("vary"), Some("Cookie"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"), "{path}");
    }
}

async fn a_handler_may_say_how_it_is_cached<S: Store>(at: &Stage<S>) {
    async fn cached(session: Session) -> Result<Response, Error> {
        session.get::<u32>("count")?;
        Ok(([("cache-control", "no-store"), ("vary", "Accept")], "x").into_response())
    }
    let app = at.app(Router::new().route("/", get(cached)));
    let answer = Browser::default().get(&app, "/").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept", "Cookie"]);
}

async fn no_cache_may_keep_a_response_that_sets_the_cookie<S: Store>(at: &Stage<S>) {
    async fn public(session: Session) -> Result<Response, Error> {
        session.insert("count", 1)?;
        Ok(([("cache-control", "public, max-age=60")], "x").into_response())
    }
    let app = at.app(counter().route("/public", get(public)));
    let browser = Browser::default();
    let answer = browser.get(&app, "/public").await;
    assert!(answer.header("set-cookie").is_some());
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    // Without a cookie to give away it is the handler's matter.
    let answer = browser.get(&app, "/public").await;
    if answer.header("set-cookie").is_none() {
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    }
}

async fn a_wrong_type_is_a_500_that_tells_nothing<S: Store>(at: &Stage<S>) {
    async fn wrong(session: Session) -> Result<String, Error> {
        Ok(session.get::<String>("count")?.unwrap_or_default())
    }
    let app = at.app(counter().route("/wrong", get(wrong)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let answer = browser.get(&app, "/wrong").await;
    answer.is(500, "Something went wrong with the session.");
    browser.get(&app, "/count").await.is(200, "2");
}

async fn only_what_a_handler_changed_after_a_release_is_an_error<S: Store>(at: &Stage<S>) {
    async fn released(session: Session) -> Result<String, Error> {
        session.release().await?;
        let error = session.insert("count", 99).unwrap_err().to_string();
        assert!(error.contains("`GET /released`") && error.contains("released"), "{error}");
        Ok(format!("{:?}", session.get::<u32>("count")?))
    }
    let app = at.app(counter().route("/released", get(released)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    browser.get(&app, "/released").await.is(200, "Some(1)");
    browser.get(&app, "/look").await.is(200, "Some(1)");
}

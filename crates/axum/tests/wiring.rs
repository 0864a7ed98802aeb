//! What is said when the parts are not put together as they should be.

mod common;

use std::future::ready;

use axum::Router;
use axum::routing::get;
use cloakroom_axum::{Error, Session, SessionAccess, SessionLayer, Snapshot};
use common::{Browser, counter, settings};
#[tokio::test]
async fn a_route_outside_of_the_layer_is_told_what_to_add() {
    let app = counter();
    Browser::default().get(&app, "/count").await.is(500, "Something went wrong with the session.");
    let error = Error::NoLayer.to_string();
    assert!(error.contains("SessionLayer::new(manager)"), "{error}");
    // An access without a session does not stand in the way of a handler without one.
    let app = Router::new().route("/", get("hello").layer(SessionAccess::optimistic()));
    Browser::default().get(&app, "/").await.is(200, "hello");
}

#[tokio::test]
async fn a_server_that_must_know_its_clients_and_does_not_answers_500() {
    for settings in [settings().ignore_change_ip(false), settings().trusted_proxy("10.0.0.0/8")] {
        let manager = common::memory().manager(settings);
        let layer = SessionLayer::new(manager);
        let app = counter().layer(layer.clone());
        assert_eq!(Browser::default().get(&app, "/count").await.status, 500);
        let app = counter().layer(layer.local_socket());
        Browser::default().get(&app, "/count").await.is(200, "1");
    }
    assert!(Error::UnknownPeer.to_string().contains("into_make_service_with_connect_info"));
}

#[tokio::test]
async fn two_parts_that_want_the_session_in_different_ways_are_told() {
    async fn both(_: Snapshot, _: Session) {}
    async fn served(_: Session, _: Snapshot) {}
    let at = common::memory();
    let app = at.app(Router::new().route("/both", get(both)).route("/served", get(served)));
    assert_eq!(Browser::default().get(&app, "/both").await.status, 500);
    assert_eq!(Browser::default().get(&app, "/served").await.status, 200);
}

#[tokio::test]
async fn an_access_that_the_store_does_not_offer_is_a_500_that_names_the_others_in_the_log() {
    let at = common::map();
    let route = get(|_: Session| ready(())).layer(SessionAccess::exclusive());
    let app = at.app(Router::new().route("/", route));
    assert_eq!(Browser::default().get(&app, "/").await.status, 500);
}

#[tokio::test]
async fn an_access_around_the_layer_is_told_where_it_belongs() {
    let at = common::memory();
    let app = at.app(counter()).layer(SessionAccess::optimistic());
    assert_eq!(Browser::default().get(&app, "/count").await.status, 500);
    assert!(Error::AccessOutside.to_string().contains("before `.layer(SessionLayer"));
}

//! Cookies as the browser stores them and sends them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::rig::{Echo, Rig};

#[tokio::test]
async fn the_session_cookie_is_kept_from_scripts_and_from_other_sites_and_goes_with_the_browser() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    browser.visit("/count").await;
    let cookie = browser.cookie("session_id").await;
    for (attribute, value) in [
        ("httpOnly", json!(true)),
        ("sameSite", json!("Lax")),
        ("path", json!("/")),
        ("domain", json!("127.0.0.1")), // without a dot before it: for this host alone
        ("secure", json!(false)),
        ("session", json!(true)),
    ] {
        assert_eq!(cookie[attribute], value, "{attribute} of {cookie}");
    }
    assert_eq!(browser.run("return document.cookie").await, "");
}

#[tokio::test]
async fn the_color_is_a_cookie_for_an_hour_that_scripts_may_read() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    browser.visit("/count").await;
    let before = seconds_now();
    browser.visit("/favorite_color/blue").await;
    let after = seconds_now();
    let cookie = browser.cookie("favorite_color").await;
    for (attribute, value) in [
        ("value", json!("blue")),
        ("httpOnly", json!(false)),
        ("sameSite", json!("Lax")),
        ("path", json!("/favorite_color")),
        ("secure", json!(false)),
        ("session", json!(false)),
    ] {
        assert_eq!(cookie[attribute], value, "{attribute} of {cookie}");
    }
    let expires = cookie["expires"].as_f64().expect("a time");
    // The browser may keep whole seconds.
    assert!((before + 3599.0..=after + 3601.0).contains(&expires), "{expires}, set at {before}");
    browser.visit("/favorite_color").await;
    assert_eq!(browser.text().await, "blue");
    assert_eq!(browser.run("return document.cookie").await, "favorite_color=blue");
}

#[tokio::test]
async fn the_color_is_sent_below_its_path_only() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    browser.visit("/favorite_color/blue").await;
    let echo = Echo::start();
    for (path, sent) in [
        ("/favorite_color", "favorite_color=blue"),
        ("/favorite_color/green", "favorite_color=blue"),
        ("/favorite_colors", "none"),
        ("/count", "none"),
        ("/", "none"),
    ] {
        browser.goto(&echo.url(path)).await.expect("the page opens");
        assert_eq!(browser.text().await, sent, "to {path}");
    }
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

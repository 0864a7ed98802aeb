//! `/login`: who it is stands in the session, whose id changes when that does.

use crate::rig::{Browser, Rig};

const FORM: &str = r#"form[action="/login"]"#;
const LOGOUT: &str = r#"form[action="/logout"] button"#;

/// Fills in the form and sends it; what comes then is for the caller to wait for.
pub async fn log_in(browser: &Browser, user: &str, password: &str) {
    browser.visit("/login").await;
    browser.fill(r#"input[name="user"]"#, user).await;
    browser.fill(r#"input[name="passwd"]"#, password).await;
    browser.click(r#"form[action="/login"] button"#).await;
}

/// Logs ada in.
pub async fn log_ada_in(browser: &Browser) {
    log_in(browser, "ada", "lovelace").await;
    browser.element(LOGOUT).await;
    let text = browser.text().await;
    assert!(text.contains("ada"), "{text}");
}

pub async fn is_logged_in(browser: &Browser) -> bool {
    browser.visit("/login").await;
    let (form, logout) = (browser.count(FORM).await, browser.count(LOGOUT).await);
    assert_eq!(form + logout, 1, "the page offers one of the two");
    logout == 1
}

#[tokio::test]
async fn a_wrong_password_says_so_and_stays_out() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    log_in(&browser, "ada", "byron").await;
    let alert = browser.element(r#"[role="alert"]"#).await.text().await.expect("a text");
    assert!(alert.contains("no such user"), "{alert}");
    assert!(!is_logged_in(&browser).await);
}

#[tokio::test]
async fn the_right_password_shows_the_user_until_the_logout() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    log_ada_in(&browser).await;
    assert!(is_logged_in(&browser).await);
    browser.click(LOGOUT).await;
    browser.element(FORM).await;
    assert!(!is_logged_in(&browser).await);
}

#[tokio::test]
async fn the_cookie_changes_at_the_login_and_the_one_before_is_worth_nothing() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    browser.visit("/count").await;
    let before = browser.cookie("session_id").await;

    log_ada_in(&browser).await;
    let after = browser.cookie("session_id").await;
    assert_ne!(before["value"], after["value"]);
    browser.visit("/count").await;
    assert_eq!(browser.text().await, "2", "the session is the same one");

    browser.put_cookie(&before).await;
    assert!(!is_logged_in(&browser).await);
    browser.visit("/count").await;
    assert_eq!(browser.text().await, "1", "whoever knew the old id has another session");

    browser.put_cookie(&after).await;
    assert!(is_logged_in(&browser).await);
}

#[tokio::test]
async fn a_logout_is_one_for_every_tab_and_every_copy_of_the_cookie() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    log_ada_in(&browser).await;
    let copy = browser.cookie("session_id").await;
    let first = browser.window().await.expect("a window");
    browser.open_tab().await;
    assert!(is_logged_in(&browser).await);

    browser.switch_to_window(first).await.expect("the first tab is still there");
    browser.click(LOGOUT).await;
    browser.element(FORM).await;

    let tabs = browser.windows().await.expect("a list of tabs");
    assert_eq!(tabs.len(), 2);
    for tab in tabs {
        browser.switch_to_window(tab).await.expect("the tab is there");
        assert!(!is_logged_in(&browser).await);
    }
    browser.put_cookie(&copy).await;
    assert!(!is_logged_in(&browser).await);
}

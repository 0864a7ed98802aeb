//! `/count`: a number that lives in the session.

use crate::rig::{Browser, Rig};

async fn count(browser: &Browser) -> String {
    browser.visit("/count").await;
    browser.text().await
}

#[tokio::test]
async fn the_counter_says_1_2_3_and_after_a_reset_1_again() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    for number in ["1", "2", "3"] {
        assert_eq!(count(&browser).await, number);
    }
    browser.visit("/reset").await;
    assert_eq!(browser.text().await, "Reset");
    let jar = browser.cookie_jar().await;
    assert!(jar.is_empty(), "the cookie of the session that ended is still there: {jar:?}");
    assert_eq!(count(&browser).await, "1");
}

#[tokio::test]
async fn two_tabs_of_one_browser_count_together() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let first = browser.window().await.expect("a window");
    assert_eq!(count(&browser).await, "1");
    browser.open_tab().await;
    assert_eq!(count(&browser).await, "2");
    browser.switch_to_window(first).await.expect("the first tab is still there");
    browser.refresh().await.expect("the page opens again");
    assert_eq!(browser.text().await, "3");
}

#[tokio::test]
async fn two_browsers_have_two_sessions() {
    let rig = Rig::start().await;
    let (ours, theirs) = (rig.browser().await, rig.browser().await);
    assert_eq!(count(&ours).await, "1");
    assert_eq!(count(&ours).await, "2");
    assert_eq!(count(&theirs).await, "1");
    assert_eq!(count(&ours).await, "3");
    let (ours, theirs) = (ours.cookie("session_id").await, theirs.cookie("session_id").await);
    assert_ne!(ours["value"], theirs["value"]);
}

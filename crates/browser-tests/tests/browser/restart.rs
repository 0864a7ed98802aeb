//! The server killed in the middle, and another one in its place.

use crate::login::{is_logged_in, log_ada_in};
use crate::rig::Rig;

#[tokio::test]
async fn a_server_that_was_killed_and_started_again_knows_its_visitors() {
    let mut rig = Rig::start().await;
    let browser = rig.browser().await;
    browser.visit("/count").await;
    log_ada_in(&browser).await;
    browser.visit("/count").await;
    assert_eq!(browser.text().await, "2");

    rig.server.kill();
    let down = browser.goto(&format!("{}/count", browser.site())).await;
    assert!(down.is_err(), "nobody is left to answer");

    rig.server.start_again();
    assert!(is_logged_in(&browser).await);
    browser.visit("/count").await;
    assert_eq!(browser.text().await, "3");
}

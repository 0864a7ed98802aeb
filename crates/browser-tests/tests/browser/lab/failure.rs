//! The server goes away during a run.

use crate::lab::page::Lab;
use crate::rig::Rig;

#[tokio::test]
async fn a_server_that_dies_during_a_run_is_said_to_and_the_page_goes_on_when_it_is_back() {
    let mut rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.choose("file", "exclusive").await;
    lab.size(6, 300).await;
    browser.click("#fire").await;
    // The first call has been answered: the run is in its middle.
    browser.element(r#"body[data-state="running"] #waterfall svg .call"#).await;
    rig.server.kill();
    browser.element(r#"body[data-state="idle"]"#).await;
    let shown = lab.shown().await;
    assert!(shown.failed > 0.0 && shown.lost.is_none(), "nobody is left to ask: {shown:?}");
    let status = lab.status().await;
    assert!(["fail", "reach", "no answer"].iter().any(|word| status.contains(word)), "{status}");

    browser.click("#fire").await;
    browser.element(r#"body[data-state="idle"]"#).await;
    let status = lab.status().await;
    assert!(status.contains("reach"), "nothing says that nobody answers: {status}");

    rig.server.start_again();
    lab.choose("file", "released").await;
    lab.size(3, 10).await;
    let shown = lab.fire().await;
    assert_eq!((shown.drawn, shown.failed, shown.lost), (3, 0.0, Some(0.0)));
}

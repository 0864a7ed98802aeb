//! What the form offers and refuses, with the mouse and without.

use fantoccini::key::Key;
use serde_json::json;

use crate::lab::page::{Lab, radio};
use crate::rig::{Browser, Rig};

#[tokio::test]
async fn a_store_without_locks_offers_none() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.choose("file", "exclusive").await;
    for (store, offered) in [
        ("map", vec!["snapshot", "optimistic", "last-write-wins"]),
        ("cookie", vec!["snapshot", "last-write-wins"]),
    ] {
        lab.choose_store(store).await;
        assert_eq!(lab.offered().await, offered, "{store}");
        assert_eq!(browser.count(&format!("{}:disabled", radio("exclusive"))).await, 1, "{store}");
        assert_eq!(browser.count(r#"input[name="access"]:checked:enabled"#).await, 1, "{store}");
    }
    lab.choose_store("memory").await;
    assert_eq!(lab.offered().await.len(), 6);
}

#[tokio::test]
async fn numbers_out_of_range_are_refused_and_nothing_is_sent() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.choose("file", "released").await;
    lab.size(3, 10).await;
    for (field, refused, accepted) in
        [("#calls", ["0", "41", "", "1.5"], "3"), ("#handler-ms", ["-1", "5001", "", "0.5"], "10")]
    {
        for number in refused {
            browser.fill(field, number).await;
            for button in ["#fire", "#compare"] {
                browser.click(button).await;
                assert_eq!(lab.state().await, "idle", "{field} {number:?}, {button}");
            }
            assert_eq!(browser.count(&format!("{field}:invalid")).await, 1, "{field} {number:?}");
        }
        browser.fill(field, accepted).await;
    }
    assert_eq!(lab.requests().await, 0);
    // Whatever the clicks above had begun would be counted with this run.
    lab.fire().await;
    assert_eq!((lab.runs().await, lab.state().await), (1, "idle".to_owned()));
    let requests = lab.requests().await.as_u64().expect("a number");
    assert!((3..=5).contains(&requests), "{requests} requests of a run of 3 calls");
}

#[tokio::test]
async fn the_bounds_themselves_are_accepted() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.choose("file", "released").await;
    for calls in [1, 40] {
        lab.size(calls, 0).await;
        let shown = lab.fire().await;
        assert_eq!((shown.drawn, shown.failed), (calls as usize, 0.0));
    }
}

#[tokio::test]
async fn the_keyboard_alone_runs_it() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;

    tab_to(&browser, "#store").await;
    tab_to(&browser, r#"input[name="access"]"#).await;
    press(&browser, Key::Down).await;
    assert_eq!(browser.count(&format!("{}:checked", radio("released"))).await, 1);
    tab_to(&browser, "#calls").await;
    write(&browser, "4").await;
    tab_to(&browser, "#handler-ms").await;
    write(&browser, "10").await;

    tab_to(&browser, "#fire").await;
    let shown = lab.finish(1, async || press(&browser, " ").await).await;
    assert_eq!(shown.drawn, 4);
    assert_eq!(focus_is(&browser, "#fire").await, json!(true), "the focus stays where it was");

    let offered = lab.offered().await.len();
    tab_to(&browser, "#compare").await;
    lab.finish(offered as u64, async || press(&browser, Key::Enter).await).await;
    assert_eq!(browser.count("#comparison tbody tr").await, offered);
}

#[tokio::test]
async fn enter_in_a_field_fires_the_calls() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.size(2, 10).await;
    let shown = lab.finish(1, async || press(&browser, Key::Enter).await).await;
    assert_eq!(shown.drawn, 2);
}

/// Presses Tab until the focus is there, and can be seen.
async fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..40 {
        press(browser, Key::Tab).await;
        if focus_is(browser, css).await == true {
            let visible = r#"
                // A radio may leave it to what is around it and its label.
                const { activeElement } = document;
                return [activeElement, activeElement.parentElement].map((each) => getComputedStyle(each)).some(
                    ({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && parseFloat(outlineWidth) > 0,
                );
            "#;
            assert_eq!(browser.run(visible).await, true, "nothing shows that {css} has the focus");
            return;
        }
    }
    panic!("Tab does not come to {css}");
}

async fn focus_is(browser: &Browser, css: &str) -> serde_json::Value {
    browser.run(&format!("return document.activeElement.matches({css:?})")).await
}

/// Replaces what stands in the field that has the focus.
async fn write(browser: &Browser, text: &str) {
    press(browser, Key::Control + "a").await;
    press(browser, text).await;
}

async fn press(browser: &Browser, keys: impl ToString) {
    let element = browser.active_element().await.expect("something has the focus");
    element.send_keys(&keys.to_string()).await.expect("keys can be pressed");
}

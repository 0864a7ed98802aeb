//! What a screen reader says.

use fantoccini::Locator;
use serde_json::json;

use super::{PAGES, open};
use crate::rig::Rig;

#[tokio::test]
async fn everything_that_can_be_used_has_a_name() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    for path in PAGES {
        open(&browser, path).await;
        let used = Locator::Css("input, select, textarea, button, a[href], summary, progress");
        let elements = browser.find_all(used).await.expect("a selector");
        assert!(!elements.is_empty(), "{path}");
        for element in elements {
            if element.is_displayed().await.expect("it is still there") {
                let html = element.html(false).await.expect("it is still there");
                assert_ne!(browser.label(&element).await.trim(), "", "{path}: {html}");
            }
        }
    }
}

#[tokio::test]
async fn every_page_says_its_language_and_its_title_and_has_headings_in_order() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let mut titles = Vec::new();
    for path in PAGES {
        open(&browser, path).await;
        assert_eq!(browser.run("return document.documentElement.lang").await, "en", "{path}");
        titles.push(browser.title().await.expect("a title"));
        let script = r#"
            const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")];
            return headings.filter((each) => each.checkVisibility()).map(({ tagName }) => Number(tagName[1]));
        "#;
        let levels = browser.run(script).await;
        let levels: Vec<u8> = serde_json::from_value(levels).expect("a list of levels");
        assert_eq!(levels.first(), Some(&1), "{path}: {levels:?}");
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{path}: {levels:?}");
        assert!(levels.is_sorted_by(|a, b| *b <= a + 1), "{path}: {levels:?}");
        assert_eq!(browser.count("main").await, 1, "{path}");
    }
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), PAGES.len(), "{titles:?}");
}

#[tokio::test]
async fn the_waterfall_has_a_name_and_a_table_with_the_same_calls() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    open(&browser, "/lab").await;
    let drawing = browser.element("#waterfall svg").await;
    let name = browser.label(&drawing).await;
    assert!(name.contains("4 calls"), "{name:?}");
    assert_eq!(browser.count("#waterfall svg .call").await, 4);
    for call in 1..=4 {
        let drawn = format!(r#"#waterfall svg .call[data-call="{call}"]"#);
        assert_eq!(browser.count(&drawn).await, 1, "{drawn}");
    }
    let script = r##"
        const table = [...document.querySelectorAll("table")].find((each) => each.id !== "comparison");
        return table && table.tBodies[0].rows.length;
    "##;
    assert_eq!(browser.run(script).await, json!(4), "rows of the table beside the waterfall");
}

#[tokio::test]
async fn the_status_and_the_refusals_are_read_out() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    open(&browser, "/lab").await;
    let live = r##"#status:is([aria-live="polite"], [role="status"])"##;
    assert_eq!(browser.count(live).await, 1);
    browser.fill("#calls", "41").await;
    browser.click("#fire").await;
    let script = r##"
        const field = document.querySelector("#calls");
        const about = (field.getAttribute("aria-describedby") ?? "").split(" ");
        return field.getAttribute("aria-invalid") === "true"
            && about.some((id) => document.getElementById(id)?.textContent.includes("40"));
    "##;
    assert_eq!(browser.run(script).await, true, "the field does not say why it is refused");
}

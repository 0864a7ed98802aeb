//! The screen of a phone.

use super::{PAGES, open};
use crate::rig::Rig;

#[tokio::test]
async fn a_phone_has_nothing_to_scroll_sideways() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    browser.resize(360, 740, true).await;
    for path in PAGES {
        open(&browser, path).await;
        let script = r#"
            const wide = [...document.querySelectorAll("body *")]
                .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
                .map((each) => each.outerHTML.slice(0, 80));
            return [document.documentElement.scrollWidth, innerWidth, wide.slice(0, 5)];
        "#;
        let widths = browser.run(script).await;
        assert_eq!(widths[1], 360, "{path}: the page does not fit itself to the screen");
        assert!(widths[0].as_u64() <= Some(360), "{path}: {widths}");
    }
}

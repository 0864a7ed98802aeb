//! Text stands out from what is behind it.

use serde_json::json;

use super::{PAGES, open};
use crate::rig::Rig;

const SCRIPT: &str = include_str!("contrast.js");

#[tokio::test]
async fn every_text_has_a_contrast_of_4_5_in_light_and_in_dark() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    for path in PAGES {
        open(&browser, path).await;
        let mut backgrounds = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await;
            let answer = browser.run(SCRIPT).await;
            assert!(answer["seen"].as_u64() > Some(3), "{path}, {scheme}: {answer}");
            assert_eq!(answer["found"], json!([]), "{path}, {scheme}");
            backgrounds
                .push(browser.run("return getComputedStyle(document.body).backgroundColor").await);
        }
        assert_ne!(backgrounds[0], backgrounds[1], "{path} looks the same in the dark");
    }
}

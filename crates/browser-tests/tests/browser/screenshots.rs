//! Pictures for people to look at, in `browser` of the target directory.

use std::path::Path;

use crate::lab::page::Lab;
use crate::login::log_ada_in;
use crate::rig::{Browser, Rig, target};

#[tokio::test]
async fn every_page_has_its_picture_taken() {
    let directory = target().join("browser");
    std::fs::create_dir_all(&directory).expect("a directory for pictures");
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for (page, path) in [("index", "/"), ("login", "/login"), ("session", "/session")] {
            browser.visit("/count").await;
            browser.visit(path).await;
            take(&browser, &directory, &format!("{page}-{scheme}"), Screen::Desk).await;
        }
        let lab = Lab::open(&browser).await;
        take(&browser, &directory, &format!("lab-{scheme}"), Screen::Desk).await;
        for access in ["exclusive", "released", "optimistic", "last-write-wins"] {
            lab.choose("file", access).await;
            lab.size(10, 200).await;
            lab.fire().await;
            take(&browser, &directory, &format!("lab-{access}-{scheme}"), Screen::Desk).await;
        }
        let runs = lab.offered().await.len() as u64;
        lab.finish(runs, async || browser.click("#compare").await).await;
        take(&browser, &directory, &format!("lab-compared-{scheme}"), Screen::Desk).await;
        take(&browser, &directory, &format!("lab-compared-phone-{scheme}"), Screen::Phone).await;
    }
    log_ada_in(&browser).await;
    take(&browser, &directory, "logged-in", Screen::Desk).await;
    browser.visit("/session").await;
    take(&browser, &directory, "session-phone", Screen::Phone).await;
}

#[derive(Clone, Copy)]
enum Screen {
    Desk,
    Phone,
}

/// Takes the whole page, as high as it is.
async fn take(browser: &Browser, directory: &Path, name: &str, screen: Screen) {
    let (width, height, mobile) = match screen {
        Screen::Desk => (1280, 900, false),
        Screen::Phone => (360, 740, true),
    };
    browser.resize(width, height, mobile).await;
    let high = browser.run("return document.documentElement.scrollHeight").await;
    let high = u32::try_from(high.as_u64().expect("a height")).expect("a page, not a tower");
    browser.resize(width, high.max(height), mobile).await;
    let image = browser.screenshot().await.expect("a screenshot");
    std::fs::write(directory.join(format!("{name}.png")), image).expect("a picture on disk");
    browser.resize(1280, 900, false).await;
}

//! The console of the browser has nothing to say: no error, no refused resource, no violation of the
//! content security policy.

use crate::lab::page::{Lab, STORES};
use crate::login::log_ada_in;
use crate::rig::{Rig, until};

#[tokio::test]
async fn no_page_leaves_anything_in_the_console() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    for path in
        ["/", "/count", "/favorite_color/blue", "/favorite_color", "/session", "/logout", "/reset"]
    {
        browser.visit(path).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
    }
    log_ada_in(&browser).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "/login");
}

#[tokio::test]
async fn no_run_of_the_lab_leaves_anything_in_the_console() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.size(4, 20).await;
    for store in STORES {
        lab.choose_store(store).await;
        lab.fire().await;
        let runs = lab.offered().await.len() as u64;
        lab.finish(runs, async || browser.click("#compare").await).await;
    }
    browser.click("#export-har").await;
    let path = browser.downloads().join("cloakroom-lab.har");
    until("the recording is saved", async || path.exists().then_some(())).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_script_that_a_page_does_not_bring_along_is_refused_and_said_in_the_console() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    for path in ["/", "/login", "/lab"] {
        browser.visit(path).await;
        let script = r#"
            const script = document.createElement("script");
            script.textContent = "window.intruder = true";
            document.body.append(script);
            return window.intruder === true;
        "#;
        assert_eq!(browser.run(script).await, false, "{path} runs what was written into it");
        let said = browser.complaints().await.concat();
        assert!(said.contains("Content Security Policy"), "{path}: {said}");
    }
}

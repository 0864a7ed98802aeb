//! Names, headings, contrast, and narrow screens.

mod contrast;
mod names;
mod narrow;

use crate::lab::page::Lab;
use crate::rig::Browser;

/// The pages of HTML, with the lab last.
const PAGES: [&str; 5] = ["/", "/login", "/logout", "/session", "/lab"];

/// Opens a page; the lab with all of its parts in use, an alarm among them.
async fn open(browser: &Browser, path: &str) {
    if path == "/session" {
        browser.visit("/count").await;
    }
    if path != "/lab" {
        browser.visit(path).await;
        return;
    }
    let lab = Lab::open(browser).await;
    lab.choose("file", "last-write-wins").await;
    lab.size(4, 30).await;
    let runs = lab.offered().await.len() as u64;
    lab.finish(runs, async || browser.click("#compare").await).await;
    lab.fire().await;
}

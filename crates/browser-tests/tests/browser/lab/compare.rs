//! One run for each access, beside each other.

use crate::lab::page::{Lab, STORES};
use crate::rig::Rig;

#[tokio::test]
async fn a_comparison_has_a_row_for_each_access_that_the_store_offers() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.size(3, 20).await;
    for store in STORES {
        lab.choose_store(store).await;
        let offered = lab.offered().await;
        let runs = offered.len() as u64;
        lab.finish(runs, async || browser.click("#compare").await).await;
        assert_eq!(browser.count("#comparison tbody tr").await, offered.len(), "{store}");
        for access in &offered {
            let row = format!(r#"#comparison tbody tr[data-access="{access}"]"#);
            let time_ms = lab.figure(&format!("{row} td[data-ms]"), "ms").await;
            assert!(time_ms >= 19.0, "{store}, {access}: {time_ms} ms with a handler of 20");
            let lost = lab.figure(&format!("{row} td[data-lost]"), "lost").await;
            assert!(lost == 0.0 || access == "last-write-wins", "{store}, {access} lost {lost}");
        }
    }
}

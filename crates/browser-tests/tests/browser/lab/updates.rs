//! Which updates are lost: none that is checked, and some of those that are not.

use crate::lab::page::{Lab, STORES, Shown};
use crate::rig::Rig;

/// Six is what a browser sends at once.
const CALLS: u32 = 6;
const HANDLER_MS: u32 = 200;

/// Runs this access in each store that offers it.
async fn run_everywhere(access: &str) -> Vec<(&'static str, Shown)> {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.size(CALLS, HANDLER_MS).await;
    let mut runs = Vec::new();
    for store in STORES {
        lab.choose_store(store).await;
        if lab.offered().await.iter().any(|offered| offered == access) {
            lab.choose(store, access).await;
            let shown = lab.fire().await;
            assert_eq!(shown.drawn, CALLS as usize, "{store}");
            assert_eq!(shown.failed, 0.0, "{store}: {shown:?}");
            runs.push((store, shown));
        }
    }
    runs
}

fn stores(runs: &[(&'static str, Shown)]) -> Vec<&'static str> {
    runs.iter().map(|(store, _)| *store).collect()
}

#[tokio::test]
async fn exclusive_calls_lose_no_update() {
    let runs = run_everywhere("exclusive").await;
    assert_eq!(stores(&runs), ["file", "memory"]);
    for (store, shown) in runs {
        assert_eq!((shown.lost, shown.again), (Some(0.0), 0.0), "{store}: {shown:?}");
    }
}

#[tokio::test]
async fn calls_that_release_early_lose_no_update() {
    let runs = run_everywhere("released").await;
    assert_eq!(stores(&runs), ["file", "memory"]);
    for (store, shown) in runs {
        assert_eq!((shown.lost, shown.again), (Some(0.0), 0.0), "{store}: {shown:?}");
    }
}

#[tokio::test]
async fn optimistic_calls_run_again_and_lose_no_update() {
    let runs = run_everywhere("optimistic").await;
    assert_eq!(stores(&runs), ["file", "map", "memory"]);
    for (store, shown) in runs {
        assert_eq!(shown.lost, Some(0.0), "{store}: {shown:?}");
        assert!(shown.again > 0.0, "{store}: nobody was overtaken, {shown:?}");
    }
}

#[tokio::test]
async fn calls_without_a_check_lose_updates() {
    let runs = run_everywhere("last-write-wins").await;
    assert_eq!(stores(&runs), STORES);
    for (store, shown) in runs {
        assert!(shown.lost > Some(0.0), "{store}: {shown:?}");
    }
}

//! `stats`.

use std::time::Duration;

use cloakroom::Layout;

use crate::store::{TestStore, TestedStore, over_both, put};

over_both! {
    the_figures_are_those_of_the_sessions,
}

fn the_figures_are_those_of_the_sessions<S: TestedStore>(store: &TestStore<S>) {
    store.fill(98);
    store.put("large", "x", "x".repeat(100_000));
    store.expired("old");
    store.back(Duration::from_secs(10 * 86_400));
    put(&store.sessions_for(Duration::from_secs(30 * 86_400)), "aged", "x", 1);
    let document = store.tool("stats", &["--format", "json"]).document();
    assert_eq!(document["sessions"]["total"], 101);
    assert_eq!(document["sessions"]["live"], 100);
    assert_eq!(document["sessions"]["expired"], 1);
    assert_eq!(document["version"]["max"], 1);
    let payload = &document["payload_bytes"];
    assert!(payload["max"].as_u64() > Some(100_000) && payload["p50"].as_u64() < Some(100));
    assert!(document["stored_bytes"]["sum"].as_u64() > payload["sum"].as_u64());
    let oldest = document["age_s"]["max"].as_u64().unwrap();
    assert!((864_000..865_000).contains(&oldest), "{oldest}");
    assert_eq!(document["trouble"]["damaged"], 0);
}

#[test]
fn the_fill_of_the_directories_is_drawn() {
    let store = TestStore::with(|builder| builder.layout(Layout { levels: 1, digits: 1 }));
    store.fill(200);
    let document = store.tool("stats", &["--format", "json"]).document();
    let shards = &document["shards"];
    assert_eq!(shards["shards"], 16);
    let bars = shards["histogram"].as_array().unwrap();
    assert_eq!(bars.iter().filter_map(|bar| bar["shards"].as_u64()).sum::<u64>(), 16);
    let mean = 200.0 / 16.0;
    assert!(shards["min"].as_f64() <= Some(mean) && shards["max"].as_f64() >= Some(mean));
    let text = store.tool("stats", &[]).stdout;
    assert!(text.starts_with("200 sessions: 200 live\n"), "{text}");
    assert!(text.contains("16 of 16 directories used") && text.contains('█'), "{text}");
}

#[test]
fn an_empty_or_flat_store_has_figures_too() {
    let store = TestStore::with(|builder| builder.layout(Layout::FLAT));
    let ended = store.tool("stats", &[]);
    assert_eq!((ended.code, ended.stdout.lines().next()), (Some(0), Some("0 sessions: 0 live")));
    store.fill(3);
    assert!(store.tool("stats", &[]).stdout.contains("not spread over directories"));
}

#[test]
fn what_cannot_be_counted_is_said() {
    let store = TestStore::new();
    let keys = store.fill(5);
    store.damage(&keys[0]);
    let ended = store.tool("stats", &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.starts_with("4 sessions: 4 live, 1 damaged\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("cloakroom verify"), "{}", ended.stderr);
}

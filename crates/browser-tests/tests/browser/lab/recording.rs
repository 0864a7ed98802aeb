//! The recording of a run, for `cloakroom replay`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::lab::page::Lab;
use crate::rig::{Browser, Rig, cloakroom, until};

const CALLS: u64 = 7;

#[tokio::test]
async fn the_recording_of_a_run_can_be_replayed_call_by_call() {
    let rig = Rig::start().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    lab.choose("file", "released").await;
    lab.size(CALLS as u32, 30).await;
    lab.fire().await;
    let (path, recording) = download(&browser).await;

    let entries = recording["log"]["entries"].as_array().expect("a list of entries");
    let is_call = |entry: &&Value| {
        entry["request"]["url"].as_str().is_some_and(|url| url.contains("/lab/file/released"))
    };
    assert_eq!(entries.iter().filter(is_call).count() as u64, CALLS);
    assert!(!recording.to_string().contains("lab_file="), "the cookie is in the recording");

    let calls = replay(&path, &["--requests", "/lab/file/"]);
    let everything = replay(&path, &[]);
    for run in calls["runs"].as_array().expect("runs") {
        assert_eq!((&run["operations"], &run["errors"]), (&CALLS.into(), &0.into()), "{run}");
    }
    for run in everything["runs"].as_array().expect("runs") {
        assert_eq!(run["operations"], CALLS + 1, "the calls and the page itself");
    }
}

async fn download(browser: &Browser) -> (std::path::PathBuf, Value) {
    browser.click("#export-har").await;
    let path = browser.downloads().join("cloakroom-lab.har");
    // The browser gives the file its name when it is whole.
    let content = until("the recording is saved", async || std::fs::read(&path).ok()).await;
    let recording = serde_json::from_slice(&content).expect("the recording is JSON");
    (path, recording)
}

fn replay(path: &Path, arguments: &[&str]) -> Value {
    let ended = Command::new(cloakroom())
        .args(["replay", "--format", "json"])
        .args(arguments)
        .arg(path)
        .output()
        .expect("the command starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).expect("one JSON document")
}

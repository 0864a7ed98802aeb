//! How long calls wait for their session, measured by the page.
//!
//! Times are not asserted but for what follows from the rules: calls that exclude each other take as long
//! as all of their handlers, and six connections bound the rest. `CLOAKROOM_LAB_TARGETS=1` asserts how
//! fast it has to be, too; it needs an idle machine.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::lab::page::{Lab, Shown};
use crate::rig::{Rig, target};

const HANDLER_MS: u32 = 200;
/// Clocks of pages are coarse.
const CLOCK_MS: f64 = 1.0;

struct Row {
    calls: u32,
    access: &'static str,
    at_most_ms: Option<f64>,
}

const ROWS: [Row; 4] = [
    Row { calls: 6, access: "exclusive", at_most_ms: None },
    Row { calls: 6, access: "released", at_most_ms: Some(350.0) },
    Row { calls: 10, access: "exclusive", at_most_ms: None },
    Row { calls: 10, access: "released", at_most_ms: Some(550.0) },
];

#[tokio::test]
async fn calls_that_release_early_wait_for_the_browser_alone_and_others_for_each_other() {
    let rig = Rig::alone().await;
    let browser = rig.browser().await;
    let lab = Lab::open(&browser).await;
    let mut measured = Vec::new();
    for row in &ROWS {
        lab.choose("file", row.access).await;
        lab.size(row.calls, HANDLER_MS).await;
        let floor_ms = lab.figure("#floor", "ms").await;
        let expected_ms = f64::from(row.calls.div_ceil(6) * HANDLER_MS);
        assert!((floor_ms - expected_ms).abs() < 0.5, "{floor_ms} instead of {expected_ms} ms");
        measured.push((row, floor_ms, lab.fire().await));
    }
    print(&measured);

    for (row, floor_ms, shown) in &measured {
        assert_eq!(shown.drawn, row.calls as usize);
        assert_eq!((shown.lost, shown.failed), (Some(0.0), 0.0));
        let alone_ms = f64::from(row.calls * HANDLER_MS);
        let least_ms = if row.access == "exclusive" { alone_ms } else { *floor_ms };
        assert!(shown.time_ms >= least_ms - CLOCK_MS, "faster than possible: {shown:?}");
    }
    for pair in measured.chunks(2) {
        let [(_, _, exclusive), (_, _, released)] = pair else { panic!("no pair") };
        assert!(released.time_ms < exclusive.time_ms / 2.0, "{released:?}, {exclusive:?}");
        assert!(released.waited_ms < exclusive.waited_ms / 2.0, "{released:?}, {exclusive:?}");
    }
    if std::env::var_os("CLOAKROOM_LAB_TARGETS").is_some() {
        for (row, _, shown) in &measured {
            let in_time = row.at_most_ms.is_none_or(|most_ms| shown.time_ms <= most_ms);
            assert!(in_time, "{} calls, {}: {shown:?}", row.calls, row.access);
        }
    }
}

fn print(measured: &[(&Row, f64, Shown)]) {
    let mut table = String::from(
        "\n calls  access     least ms  until the last answer ms  waited in all ms  lost\n",
    );
    for (row, floor_ms, shown) in measured {
        let Row { calls, access, .. } = row;
        let Shown { time_ms, waited_ms, lost, .. } = shown;
        let lost = lost.map_or_else(|| "unknown".to_owned(), |lost| lost.to_string());
        writeln!(
            table,
            "{calls:>6}  {access:<9} {floor_ms:>9} {time_ms:>25.1} {waited_ms:>17.1} {lost:>5}"
        )
        .expect("a string takes it");
    }
    let directory = target().join("browser");
    std::fs::create_dir_all(&directory).expect("a directory for results");
    std::fs::write(directory.join("lab.txt"), &table).expect("a file of results");
    // Not `println!`, which a test that passes keeps to itself.
    std::io::stdout().write_all(table.as_bytes()).expect("stdout is open");
}

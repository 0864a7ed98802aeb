//! The memory of a process, by the side of the files it has mapped: that must not grow with the
//! number of sessions.

use std::path::Path;

use cloakroom::Access;
use cloakroom::Hold;

use super::support::{Report, Run, grouped};
use super::{count, fill, key, open, take};

pub fn measure(run: Run, directory: &Path, report: &mut Report) {
    let (few, many) = run.pick((100_000, 1_000_000), (100, 1_000));
    let store = open(directory);
    let mut known = 0;
    let mut anonymous_with = |sessions: u64| {
        fill(&store, known, sessions);
        known = sessions;
        for number in 0..sessions {
            count(take(&store, &key(number), Access::Snapshot).payload(), number);
        }
        anonymous()
    };
    let before = anonymous_with(few);
    let after = anonymous_with(many);
    let grown = after.saturating_sub(before);
    let per_session = grown as f64 / (many - few) as f64;
    report.verdict(
        format_args!(
            "memory beyond the mapped files, from {} sessions to {}",
            grouped(few),
            grouped(many)
        ),
        format_args!("{per_session:.3} bytes a session ({before} bytes, then {after})"),
        "0; less than a tenth of a byte",
        per_session < 0.1,
    );
}

/// Bytes of this process that no file stands behind.
fn anonymous() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("the kernel tells");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("it is a number") * 1_024
}

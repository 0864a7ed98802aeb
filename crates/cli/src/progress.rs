//! A progress bar on standard error: for people, and only once the command has worked for a second.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Does `work` while a bar shows how far it is: `done` of `total`, or `done` alone if `total` is 0.
pub fn during<T>(
    label: &str,
    total: u64,
    done: impl Fn() -> u64 + Send,
    work: impl FnOnce() -> T,
) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (finished, ticks) = mpsc::channel::<()>();
        let painter = thread::Builder::new().spawn_scoped(scope, move || {
            let begun = Instant::now();
            let first = *FIRST.get_or_init(|| begun);
            while ticks.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if first.elapsed() >= PATIENCE {
                    paint(label, total, done(), begun);
                }
            }
            clear();
        });
        let output = work();
        drop(finished);
        // Without its thread the work goes on all the same, only unseen.
        drop(painter);
        output
    })
}

/// Removes the bar, if there is one.
pub fn clear() {
    if let Some(bar) = bar().take() {
        bar.finish_and_clear();
    }
}

fn paint(label: &str, total: u64, done: u64, begun: Instant) {
    let mut bar = bar();
    let bar = bar.get_or_insert_with(|| {
        let (total, style) = if total == 0 { (None, counting()) } else { (Some(total), style()) };
        ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
            .with_style(style)
            .with_message(label.to_owned())
            .with_elapsed(begun.elapsed())
    });
    bar.set_position(bar.length().map_or(done, |total| done.min(total)));
}

/// The one bar there is at a time, where an interrupt finds it, too.
fn bar() -> MutexGuard<'static, Option<ProgressBar>> {
    static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:<36!} [{bar:30}] {percent:>3} %, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn counting() -> ProgressStyle {
    ProgressStyle::with_template("{msg:<36!} {human_pos}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// When the command's first work began: the steps of a long one may be short.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Until then there is no bar.
const PATIENCE: Duration = Duration::from_secs(1);

const TICK: Duration = Duration::from_millis(100);

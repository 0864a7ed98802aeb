//! One line of advice, from the figures.

use std::time::Duration;

use super::run::Replayed;
use crate::mode::Mode;
use crate::units::human;

/// What the figures say to somebody who has to choose.
pub fn advice(replayed: &[Replayed]) -> String {
    let of = |mode| replayed.iter().find(|run| run.mode == mode);
    if let Some(broken) = replayed.iter().find(|run| !run.kept()) {
        let mode = broken.mode;
        return format!("do not rely on these figures: `{mode}` lost updates or failed here.");
    }
    let Some(exclusive) = of(Mode::Exclusive) else {
        return "compare with `--access exclusive` to see what locking a session to the end of \
                each request would cost."
            .to_owned();
    };
    let waited = exclusive.waited();
    if waited < NEGLIGIBLE || waited < exclusive.page_load().mul_f64(0.05) {
        return format!(
            "the requests of this page hardly wait for each other ({} in all), so `exclusive`, \
             the simplest access, is right.",
            human(waited),
        );
    }
    // Work that is done again costs as much as waiting.
    let saved = |run: &Replayed| waited.saturating_sub(run.waited() + run.redone()).as_secs_f64();
    let enough = 0.8 * waited.as_secs_f64();
    let effect = |run: &Replayed| {
        let (before, after) = (exclusive.page_load(), run.page_load());
        let page = if after < before.mul_f64(0.98) {
            format!("the page loads in {} instead of {}", human(after), human(before))
        } else {
            "though the page as a whole loads no faster".to_owned()
        };
        format!("waiting falls from {} to {}, {page}", human(waited), human(run.waited()))
    };
    if let Some(released) = of(Mode::Released).filter(|run| saved(run) >= enough) {
        return format!(
            "commit or release the session as soon as a handler is done with it (`released`): \
             {}, and no update is lost.",
            effect(released),
        );
    }
    let best = [Mode::Shared, Mode::Optimistic]
        .into_iter()
        .filter_map(of)
        .max_by(|a, b| saved(a).total_cmp(&saved(b)));
    match best.filter(|run| saved(run) >= enough) {
        Some(best) => format!("open the session `{}`: {}.", best.mode, effect(best)),
        None => format!(
            "requests wait {} in all; none of the accesses replayed here changes much.",
            human(waited),
        ),
    }
}

/// Less waiting than this on a whole page is not worth a line of code.
const NEGLIGIBLE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::run::Span;
    use super::*;

    fn run(mode: Mode, waited_ms: u64) -> Replayed {
        let span = |start: u64, waited: u64, end: u64| Span {
            start: Duration::from_millis(start),
            waited: Duration::from_millis(waited),
            end: Duration::from_millis(end),
            conflicts: 0,
            redone: Duration::ZERO,
            wrote: mode.writes(),
            error: None,
        };
        let spans = vec![span(0, 0, 100), span(0, waited_ms, 100 + waited_ms)];
        Replayed { mode, spans, lost: 0 }
    }

    #[test]
    fn early_release_is_advised_where_it_takes_the_waiting_away() {
        let text = advice(&[run(Mode::Exclusive, 900), run(Mode::Released, 1)]);
        assert!(text.contains("(`released`): waiting falls from 900 ms to 1.00 ms"), "{text}");
    }

    #[test]
    fn shared_is_advised_where_only_it_helps() {
        let text = advice(&[run(Mode::Exclusive, 900), run(Mode::Shared, 2)]);
        assert!(text.starts_with("open the session `shared`"), "{text}");
    }

    #[test]
    fn a_page_that_does_not_wait_needs_nothing() {
        let text = advice(&[run(Mode::Exclusive, 2), run(Mode::Released, 1)]);
        assert!(text.contains("`exclusive`, the simplest access, is right"), "{text}");
    }

    #[test]
    fn figures_with_losses_are_not_to_be_relied_on() {
        let broken = Replayed { lost: 3, ..run(Mode::Exclusive, 900) };
        let text = advice(&[broken, run(Mode::Released, 1)]);
        assert!(text.contains("`exclusive` lost updates or failed"), "{text}");
    }
}

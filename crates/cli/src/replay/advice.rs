//! One line of advice, from the figures.

use std::time::Duration;

use crate::mode::Mode;
use crate::units::human;

/// What became of all requests with one access.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The access.
    pub mode: Mode,
    /// Whether every promise was kept.
    pub kept: bool,
    /// How long they stood waiting, together.
    pub waited: Duration,
    /// How long handlers worked in vain, together.
    pub redone: Duration,
    /// From the first request to the last response, where somebody waits for that.
    pub page_load: Option<Duration>,
    /// Less waiting than this is not worth a line of code.
    pub negligible: Duration,
}

/// What the figures say to somebody who has to choose; `whose` requests they are.
pub fn advice(whose: &str, outcomes: &[Outcome]) -> String {
    let of = |mode| outcomes.iter().find(|outcome| outcome.mode == mode);
    if let Some(broken) = outcomes.iter().find(|outcome| !outcome.kept) {
        let mode = broken.mode;
        return format!("do not rely on these figures: `{mode}` lost updates or failed here.");
    }
    let Some(exclusive) = of(Mode::Exclusive) else {
        return "compare with `--store file: --access exclusive` to see what locking a session to \
                the end of each request would cost."
            .to_owned();
    };
    let waited = exclusive.waited;
    if waited < exclusive.negligible {
        return format!(
            "the requests of {whose} hardly wait for each other ({} in all), so `exclusive`, \
             the simplest access, is right.",
            human(waited),
        );
    }
    // Work that is done again costs as much as waiting.
    let saved =
        |outcome: &Outcome| waited.saturating_sub(outcome.waited + outcome.redone).as_secs_f64();
    let enough = 0.8 * waited.as_secs_f64();
    let effect = |outcome: &Outcome| {
        let page = match exclusive.page_load.zip(outcome.page_load) {
            None => String::new(),
            Some((before, after)) if after < before.mul_f64(0.98) => {
                format!(", the page loads in {} instead of {}", human(after), human(before))
            }
            Some(_) => ", though the page as a whole loads no faster".to_owned(),
        };
        format!("waiting falls from {} to {}{page}", human(waited), human(outcome.waited))
    };
    if let Some(released) = of(Mode::Released).filter(|outcome| saved(outcome) >= enough) {
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
    match best.filter(|outcome| saved(outcome) >= enough) {
        Some(best) => format!("open the session `{}`: {}.", best.mode, effect(best)),
        None => format!(
            "requests wait {} in all; none of the accesses replayed here changes much.",
            human(waited),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mode: Mode, waited_ms: u64) -> Outcome {
        Outcome {
            mode,
            kept: true,
            waited: Duration::from_millis(waited_ms),
            redone: Duration::ZERO,
            page_load: Some(Duration::from_millis(100 + waited_ms)),
            negligible: Duration::from_millis(10),
        }
    }

    #[test]
    fn early_release_is_advised_where_it_takes_the_waiting_away() {
        let text = advice("this page", &[run(Mode::Exclusive, 900), run(Mode::Released, 1)]);
        assert!(text.contains("(`released`): waiting falls from 900 ms to 1.00 ms"), "{text}");
    }

    #[test]
    fn shared_is_advised_where_only_it_helps() {
        let text = advice("this page", &[run(Mode::Exclusive, 900), run(Mode::Shared, 2)]);
        assert!(text.starts_with("open the session `shared`"), "{text}");
    }

    #[test]
    fn a_page_that_does_not_wait_needs_nothing() {
        let text = advice("this page", &[run(Mode::Exclusive, 2), run(Mode::Released, 1)]);
        assert!(text.contains("`exclusive`, the simplest access, is right"), "{text}");
    }

    #[test]
    fn the_load_of_a_page_is_spoken_of_only_where_there_is_one() {
        let [before, after] = [run(Mode::Exclusive, 900), run(Mode::Released, 1)];
        assert!(advice("this page", &[before, after]).contains("the page loads in 101 ms"));
        let without = |outcome| Outcome { page_load: None, ..outcome };
        let text = advice("these sessions", &[without(before), without(after)]);
        assert!(!text.contains("page"), "{text}");
    }

    #[test]
    fn figures_with_losses_are_not_to_be_relied_on() {
        let broken = Outcome { kept: false, ..run(Mode::Exclusive, 900) };
        let text = advice("this page", &[broken, run(Mode::Released, 1)]);
        assert!(text.contains("`exclusive` lost updates or failed"), "{text}");
    }
}

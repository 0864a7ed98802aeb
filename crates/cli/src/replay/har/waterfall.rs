//! Pictures of a page load in text: one line per request, with waiting, working in vain and
//! working told apart.

use std::time::Duration;

use super::run::{Replayed, Span};
use super::timeline::Request;
use crate::units::human;

/// What part of a page load is drawn, so that pictures of several accesses can be compared.
pub struct Window {
    /// The requests in it, by their number.
    rows: Vec<usize>,
    /// How many there would be without a limit.
    all_rows: usize,
    from: Duration,
    to: Duration,
    is_whole: bool,
}

impl Window {
    /// The part of the page load where requests of `worst` wait, or the whole if that is most of
    /// it; long enough to hold the same requests of `best`.
    pub fn new(worst: &Replayed, best: Option<&Replayed>) -> Self {
        let waiting: Vec<&Span> =
            worst.spans.iter().filter(|span| span.waited >= SHOWN_FROM).collect();
        let is_involved = |span: &Span| {
            waiting.iter().any(|w| span.start <= w.start + w.waited && w.start <= span.end)
        };
        let everything = (0..worst.spans.len()).collect();
        let involved = (0..).zip(&worst.spans).filter(|(_, span)| is_involved(span));
        let mut window = Self::around(involved.map(|(row, _)| row).collect(), worst, best);
        window.is_whole = 2 * (window.to - window.from) >= worst.page_load();
        if window.is_whole {
            window = Self { is_whole: true, ..Self::around(everything, worst, best) };
        }
        if window.rows.len() > ROWS_MAX {
            let waited = |row: &usize| worst.spans.get(*row).map(|span| span.waited);
            // The stable sort keeps those in order that waited as long.
            window.rows.sort_by_key(|row| std::cmp::Reverse(waited(row)));
            window.rows.truncate(ROWS_MAX);
            window.rows.sort_unstable();
        }
        window
    }

    fn around(rows: Vec<usize>, worst: &Replayed, best: Option<&Replayed>) -> Self {
        let spans = || {
            let of_run = |run: &'_ Replayed| {
                rows.iter().filter_map(|row| run.spans.get(*row)).cloned().collect::<Vec<_>>()
            };
            [Some(worst), best].into_iter().flatten().flat_map(of_run)
        };
        let from = spans().map(|span| span.start).min().unwrap_or_default();
        let to = spans().map(|span| span.end).max().unwrap_or_default().max(from);
        Self { all_rows: rows.len(), rows, from, to, is_whole: false }
    }

    /// Draws it for one access.
    pub fn draw(&self, requests: &[Request], replayed: &Replayed) -> String {
        let page_load = human(replayed.page_load());
        let mut text = if self.is_whole {
            format!("{}, {page_load}\n", replayed.mode)
        } else {
            let (from, to) = (human(self.from), human(self.to));
            format!("{}, from {from} to {to} of {page_load}\n", replayed.mode)
        };
        for row in &self.rows {
            if let (Some(request), Some(span)) = (requests.get(*row), replayed.spans.get(*row)) {
                text.push_str(self.line(request, span).trim_end());
                text.push('\n');
            }
        }
        if self.all_rows > self.rows.len() {
            text.push_str(&format!(
                "  ({} of {} requests: those that waited longest)\n",
                self.rows.len(),
                self.all_rows,
            ));
        }
        text
    }

    fn line(&self, request: &Request, span: &Span) -> String {
        let sent = self.column(span.start).min(BAR_WIDTH - 1);
        let opened = self.column(span.start + span.waited).max(sent);
        let again = self.column(span.start + span.waited + span.redone).max(opened);
        let answered = self.column(span.end).max(again).max(sent + 1);
        let bar = [
            " ".repeat(sent),
            WAITING.repeat(opened - sent),
            IN_VAIN.repeat(again - opened),
            WORKING.repeat(answered - again),
            " ".repeat(BAR_WIDTH.saturating_sub(answered)),
        ];
        let shown = span.waited >= SHOWN_FROM;
        let waited = if shown { human(span.waited) } else { String::new() };
        format!("  {} {} {waited:>8}", label(&request.name), bar.concat())
    }

    fn column(&self, at: Duration) -> usize {
        let axis = (self.to - self.from).as_secs_f64().max(f64::MIN_POSITIVE);
        let part = at.saturating_sub(self.from).as_secs_f64() / axis;
        // Between 0 and the width, so it fits.
        (part * BAR_WIDTH as f64).round().clamp(0.0, BAR_WIDTH as f64) as usize
    }
}

/// The method and as much of the end of the path as fits: paths differ at their ends.
fn label(name: &str) -> String {
    let (method, path) = name.split_once(' ').unwrap_or(("", name));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // Characters of uncertain width, which a URL does not need, become question marks.
    let plain = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
    };
    let method: String = plain(method).into_iter().take(METHOD_WIDTH).collect();
    let room = LABEL_WIDTH - method.len() - 1;
    let path = plain(path);
    let path: String = if path.len() > room {
        ['…'].iter().chain(path.iter().skip(path.len() + 1 - room)).collect()
    } else {
        path.iter().collect()
    };
    format!("{:LABEL_WIDTH$}", format!("{method} {path}"))
}

/// A column of waiting.
pub const WAITING: &str = "░";

/// A column of work that was overtaken and done again.
pub const IN_VAIN: &str = "▒";

/// A column of work.
pub const WORKING: &str = "█";

const LABEL_WIDTH: usize = 26;

/// Longer methods are cut; all of HTTP's own fit.
const METHOD_WIDTH: usize = 7;

/// With the label, the figure and the spaces between it makes 100 columns at most.
const BAR_WIDTH: usize = 60;

/// More rows than this nobody reads.
const ROWS_MAX: usize = 20;

/// Shorter waits get no figure.
const SHOWN_FROM: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A page of requests that are sent at the same time, one after the first, and queue.
    fn queue(rows: u64) -> (Vec<Request>, Replayed) {
        let request = |number: u64| Request {
            start: ms(0),
            work: ms(50),
            only_reads: true,
            name: format!("GET /a/very/long/path/that/does/not/fit/{number}"),
        };
        let spans = (0..rows).map(|number| span(0, 50 * number, 50 + 50 * number)).collect();
        let replayed = Replayed { mode: Mode::Exclusive, spans, lost: 0 };
        ((0..rows).map(request).collect(), replayed)
    }

    const fn span(start: u64, waited: u64, end: u64) -> Span {
        Span {
            start: ms(start),
            waited: ms(waited),
            end: ms(end),
            conflicts: 0,
            redone: Duration::ZERO,
            wrote: true,
            error: None,
        }
    }

    #[test]
    fn waiting_comes_before_working_in_proportion() {
        let (requests, replayed) = queue(2);
        let text = Window::new(&replayed, None).draw(&requests, &replayed);
        assert!(text.starts_with("exclusive, 100 ms\n"), "{text}");
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains(&(WAITING.repeat(30) + &WORKING.repeat(30))), "{text}");
        assert!(text.ends_with("50.0 ms\n"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_100_columns_and_long_pages_are_cut() {
        let (requests, replayed) = queue(200);
        let text = Window::new(&replayed, None).draw(&requests, &replayed);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.lines().count(), ROWS_MAX + 2);
    }

    #[test]
    fn names_keep_their_ends_and_are_all_as_wide() {
        for (name, shown) in [
            ("GET /short?query", "GET /short"),
            ("GET /a/very/long/path/that/ends/here.html", "GET …h/that/ends/here.html"),
            ("PROPFINDANDMORE /ü\u{202e}", "PROPFIN /??"),
            ("", " "),
        ] {
            let label = label(name);
            assert_eq!(label.trim_end(), shown.trim_end());
            assert_eq!(label.chars().count(), LABEL_WIDTH);
        }
    }

    #[test]
    fn only_the_part_of_a_long_page_is_drawn_where_requests_wait() {
        let (requests, mut replayed) = queue(4);
        replayed.spans = vec![
            span(0, 0, 10),
            span(1_000, 0, 1_100),
            span(1_010, 90, 1_200),
            span(9_000, 0, 9_100),
        ];
        let text = Window::new(&replayed, None).draw(&requests, &replayed);
        assert!(text.starts_with("exclusive, from 1.00 s to 1.20 s of 9.10 s\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "the one that waits and the one it waits for");
    }

    #[test]
    fn pages_without_length_or_waiting_do_no_harm() {
        let (requests, mut replayed) = queue(3);
        replayed.spans = vec![span(0, 0, 0); 3];
        let text = Window::new(&replayed, Some(&replayed)).draw(&requests, &replayed);
        assert_eq!(text.lines().count(), 4);
        let nothing = Replayed { mode: Mode::None, spans: Vec::new(), lost: 0 };
        assert_eq!(Window::new(&nothing, None).draw(&[], &nothing).lines().count(), 1);
    }
}

//! The chosen requests on a common clock that starts with the first of them.

use std::time::Duration;

use super::recording::Entry;
use super::site;
use crate::replay::modes;

/// A request to be replayed.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it is sent.
    pub start: Duration,
    /// How long its handler works.
    pub work: Duration,
    /// Whether it only reads, as far as its method tells.
    pub only_reads: bool,
    /// What people call it.
    pub name: String,
}

/// The timeline of these requests, which are in the order they were sent.
pub fn of(chosen: &[&Entry], speed: f64) -> Vec<Request> {
    let Some(first) = chosen.first() else {
        return Vec::new();
    };
    chosen
        .iter()
        .map(|entry| {
            let start = entry.started.duration_since(first.started).unsigned_abs();
            Request {
                start: start.div_f64(speed),
                work: entry.wait.div_f64(speed),
                only_reads: modes::only_reads(entry.method.as_bytes()),
                name: format!("{} {}", entry.method, site::path(&entry.url)),
            }
        })
        .collect()
}

/// From the start of the first to the end of the last, if nobody waits.
pub fn span(requests: &[Request]) -> Duration {
    requests.iter().map(|request| request.start + request.work).max().unwrap_or_default()
}

/// The most that were under way at once in the recording.
pub fn most_at_once(requests: &[Request]) -> usize {
    let mut edges: Vec<(Duration, i32)> = requests
        .iter()
        .flat_map(|request| [(request.start, 1), (request.start + request.work, -1)])
        .collect();
    // At the same moment ends come before starts.
    edges.sort_unstable();
    let under_way = edges.iter().scan(0, |count, (_, step)| {
        *count += step;
        Some(*count)
    });
    under_way.max().and_then(|most| usize::try_from(most).ok()).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(start: u64, work: u64) -> Request {
        Request {
            start: Duration::from_millis(start),
            work: Duration::from_millis(work),
            only_reads: true,
            name: String::new(),
        }
    }

    #[test]
    fn requests_that_follow_each_other_are_never_under_way_together() {
        assert_eq!(most_at_once(&[request(0, 10), request(10, 10), request(20, 5)]), 1);
        assert_eq!(most_at_once(&[request(0, 10), request(9, 10), request(9, 0)]), 2);
        assert_eq!(most_at_once(&[]), 1);
    }

    #[test]
    fn the_span_ends_with_the_last_response_not_with_the_last_request() {
        assert_eq!(span(&[request(0, 50), request(10, 5)]), Duration::from_millis(50));
    }
}

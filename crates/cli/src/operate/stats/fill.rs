//! How evenly sessions are spread over the shards of a store.

use std::collections::HashMap;

use serde::Serialize;

use crate::units::grouped;

/// Sessions by shard. Shards without one take no memory: there may be very many.
#[derive(Default)]
pub struct Fill {
    sessions: HashMap<u64, u64>,
}

impl Fill {
    /// Adds a session in this shard.
    pub fn add(&mut self, shard: u64) {
        *self.sessions.entry(shard).or_default() += 1;
    }

    /// The figures of so many shards.
    pub fn summary(&self, shards: u64) -> Summary {
        let used = self.sessions.len() as u64;
        let empty = shards.saturating_sub(used);
        let fills = || self.sessions.values().copied().chain((empty > 0).then_some(0));
        let (min, max) = (fills().min().unwrap_or(0), fills().max().unwrap_or(0));
        let width = ((max - min) / BARS + 1).max(1);
        let mut bars: Vec<Bar> = (0..=(max - min) / width)
            .map(|bar| min + bar * width)
            .map(|from| Bar { from, to: (from + width - 1).min(max), shards: 0 })
            .collect();
        let counts = self.sessions.values().map(|fill| (*fill, 1)).chain([(0, empty)]);
        for (fill, count) in counts.filter(|(_, count)| *count > 0) {
            if let Some(bar) = bars.iter_mut().find(|bar| (bar.from..=bar.to).contains(&fill)) {
                bar.shards += count;
            }
        }
        Summary { shards, used, min, max, histogram: bars }
    }
}

/// How evenly sessions are spread.
#[derive(Debug, Serialize)]
pub struct Summary {
    shards: u64,
    /// Shards with sessions.
    used: u64,
    /// Sessions in the emptiest.
    min: u64,
    /// Sessions in the fullest.
    max: u64,
    histogram: Vec<Bar>,
}

/// How many shards have so many sessions.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Bar {
    from: u64,
    to: u64,
    shards: u64,
}

impl Summary {
    /// A picture for people.
    pub fn text(&self) -> String {
        let Self { shards, used, min, max, .. } = self;
        let (shards_text, used) = (grouped(*shards), grouped(*used));
        if *shards == 1 {
            return "not spread over directories\n".to_owned();
        }
        let mut text = format!(
            "{used} of {shards_text} directories used, {} to {} sessions in each\n",
            grouped(*min),
            grouped(*max)
        );
        let most = self.histogram.iter().map(|bar| bar.shards).max().unwrap_or(0).max(1);
        for Bar { from, to, shards } in &self.histogram {
            let range = if from == to {
                grouped(*from)
            } else {
                format!("{} to {}", grouped(*from), grouped(*to))
            };
            // In this order: the number of shards is far from overflow even times the width.
            let length = (u128::from(*shards) * WIDTH).div_ceil(u128::from(most));
            let bar = "█".repeat(usize::try_from(length).unwrap_or(0));
            let line = format!("{range:>18} {bar} {}", grouped(*shards));
            text.push_str(&format!("{line}\n"));
        }
        text
    }
}

/// Bars of the histogram, and one more at most.
const BARS: u64 = 8;

/// Columns of the longest bar.
const WIDTH: u128 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_in_one_bar_and_empty_ones_are_counted() {
        let mut fill = Fill::default();
        for (shard, sessions) in [(0, 1), (7, 100), (9, 57)] {
            (0..sessions).for_each(|_| fill.add(shard));
        }
        let summary = fill.summary(1 << 48);
        assert_eq!((summary.used, summary.min, summary.max), (3, 0, 100));
        let counted: u64 = summary.histogram.iter().map(|bar| bar.shards).sum();
        assert_eq!(counted, 1 << 48);
        assert_eq!(summary.histogram.last().map(|bar| (bar.to, bar.shards)), Some((100, 1)));
        assert!(summary.text().contains(&"█".repeat(40)));
    }

    #[test]
    fn an_empty_store_has_one_bar() {
        let summary = Fill::default().summary(256);
        assert_eq!(summary.histogram, [Bar { from: 0, to: 0, shards: 256 }]);
    }
}

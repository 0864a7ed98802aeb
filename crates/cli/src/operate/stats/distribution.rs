//! How a figure is distributed over many sessions.

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

/// A distribution: quantiles to three digits, sum and maximum exact.
pub struct Distribution {
    histogram: Histogram<u64>,
    sum: u64,
    max: u64,
}

impl Distribution {
    /// Adds a figure.
    pub fn add(&mut self, figure: u64) {
        self.sum = self.sum.saturating_add(figure);
        self.max = self.max.max(figure);
        // It grows to what it is given; what no histogram holds is not worth a quantile.
        self.histogram.saturating_record(figure.min(FIGURE_MAX));
    }

    /// What half of them, nine in ten and 99 in a hundred stay below.
    pub fn quantiles(&self) -> [u64; 3] {
        // The histogram answers with the end of a bucket, which may lie past the largest.
        [0.5, 0.9, 0.99].map(|part| self.histogram.value_at_quantile(part).min(self.max))
    }

    /// All of them together.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest.
    pub const fn max(&self) -> u64 {
        self.max
    }
}

impl Default for Distribution {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the bounds are constants that it takes")]
        let histogram =
            Histogram::new_with_max(FIGURE_MAX, 3).expect("a histogram takes these bounds");
        Self { histogram, sum: 0, max: 0 }
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Figures {
            p50: u64,
            p90: u64,
            p99: u64,
            max: u64,
            sum: u64,
        }
        let [p50, p90, p99] = self.quantiles();
        Figures { p50, p90, p99, max: self.max, sum: self.sum }.serialize(serializer)
    }
}

/// More bytes, seconds or commits than a session can have.
const FIGURE_MAX: u64 = 1 << 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits_whatever_is_added() {
        let mut figures = Distribution::default();
        assert_eq!(figures.quantiles(), [0, 0, 0]);
        (0..=1_000).for_each(|figure| figures.add(figure));
        assert_eq!(figures.quantiles(), [500, 900, 990]);
        assert_eq!((figures.sum(), figures.max()), (500_500, 1_000));
        figures.add(u64::MAX);
        assert_eq!((figures.sum(), figures.max()), (u64::MAX, u64::MAX));
        assert_eq!(figures.quantiles(), [500, 901, 991]);
    }
}

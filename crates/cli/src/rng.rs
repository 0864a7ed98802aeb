//! Random numbers that cost nothing next to what is measured, and repeat with their seed.

/// A xorshift generator.
pub struct Rng(u64);

impl Rng {
    /// The generator of one client. Neighbouring seeds and clients share no sequence.
    pub const fn new(seed: u64, process: u32, client: u32) -> Self {
        let mut state = seed ^ ((process as u64) << 32 | client as u64).wrapping_mul(MIX_1);
        state = (state ^ state >> 30).wrapping_add(MIX_1).wrapping_mul(MIX_2);
        state = (state ^ state >> 27).wrapping_mul(MIX_3);
        state ^= state >> 31;
        // Zero is the one state that a xorshift never leaves.
        Self(if state == 0 { MIX_1 } else { state })
    }

    /// A number below `bound`, which must not be zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product is uniform up to a bias of bound / 2^64.
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// A number from 0 to 1, 1 itself excluded.
    pub const fn unit(&mut self) -> f64 {
        (self.next() >> (u64::BITS - f64::MANTISSA_DIGITS)) as f64 * (f64::EPSILON / 2.0)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const MIX_1: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX_2: u64 = 0xbf58_476d_1ce4_e5b9;
const MIX_3: u64 = 0x94d0_49bb_1331_11eb;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_below_the_bound_repeat_with_the_seed_and_reach_everything() {
        let draw = |seed, client| {
            let mut rng = Rng::new(seed, 0, client);
            (0..1_000).map(|_| rng.below(10)).collect::<Vec<_>>()
        };
        let numbers = draw(1, 0);
        assert_eq!(numbers, draw(1, 0));
        assert_ne!(numbers, draw(1, 1));
        assert_ne!(numbers, draw(2, 0));
        for number in 0..10 {
            assert!(numbers.contains(&number));
        }
        assert!(numbers.iter().all(|number| *number < 10));
    }

    #[test]
    fn the_unit_interval_is_covered_evenly_and_one_is_left_out() {
        let mut rng = Rng::new(1, 0, 0);
        let numbers: Vec<_> = (0..10_000).map(|_| rng.unit()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        for tenth in 0..10 {
            let here = numbers.iter().filter(|number| (**number * 10.0) as usize == tenth).count();
            assert!((850..1_150).contains(&here), "{here} of 1,000 in tenth {tenth}");
        }
    }
}

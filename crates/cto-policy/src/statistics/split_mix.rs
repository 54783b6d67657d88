//! A small generator of reproducible pseudo-random numbers.

/// SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, in
/// the form of S. Vigna's public-domain `splitmix64.c`): 64 bits of state, so that a seed in a report is all that is
/// needed to make its intervals again. It resamples cases; nothing secret depends on it.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number from 0 to `bound` - 1, each equally likely (D. Lemire, "Fast random integer generation in an
    /// interval", ACM TOMACS 29, 2019, algorithm 5); 0 when `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 {
            return 0;
        }
        let bound = u64::from(bound);
        // Of the 2^32 values, the last `reject` would make some results more likely.
        let reject = (1_u64 << 32) % bound;
        loop {
            let product = (self.next_bits() >> 32) * bound;
            if product & 0xffff_ffff >= reject {
                return u32::try_from(product >> 32).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for seed 1234567 as published for the reference implementation (Rosetta Code,
    /// "Pseudo-random numbers/Splitmix64").
    #[test]
    fn gives_the_published_sequence() {
        let mut numbers = SplitMix64::new(1_234_567);
        let found: Vec<u64> = (0..5).map(|_| numbers.next_bits()).collect();
        assert_eq!(
            found,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn draws_every_number_below_its_bound_about_equally_often() {
        let mut numbers = SplitMix64::new(7);
        let mut seen = [0_u32; 6];
        for _ in 0..60_000 {
            seen[usize::try_from(numbers.below(6)).unwrap()] += 1;
        }
        // 10,000 each, standard deviation 91; the sequence is fixed, so this cannot fail by chance.
        assert!(seen.iter().all(|count| (9_600..=10_400).contains(count)), "{seen:?}");
        assert_eq!((numbers.below(0), numbers.below(1)), (0, 0));
    }
}

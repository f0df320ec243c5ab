//! The one source of chance: a seeded stream of numbers that is the same on every machine and for ever.

/// SplitMix64 (Steele, Lea and Flood 2014). Written out here, ten lines, because "the same seed gives the same bytes"
/// must survive the next release of any random number crate.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number under `bound`, 0 when `bound` is 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        scale(self.next(), bound)
    }

    /// A fraction in `0.0..1.0`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are all that an f64 holds"
    )]
    pub(super) const fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `words`, empty when there are none.
    pub(super) fn word(&mut self, words: &[&'static str]) -> &'static str {
        word(self.next(), words)
    }
}

/// Spreads a number's bits: SplitMix64's finaliser.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A number of the whole range, brought under `bound` in proportion.
pub(super) const fn scale(value: u64, bound: u64) -> u64 {
    ((value as u128 * bound as u128) >> 64) as u64
}

/// The word that a number falls on, empty when there are none.
pub(super) fn word(value: u64, words: &[&'static str]) -> &'static str {
    usize::try_from(scale(value, words.len() as u64))
        .ok()
        .and_then(|at| words.get(at))
        .copied()
        .unwrap_or_default()
}

/// Things of which one is drawn, those that stand there more than once more often: never empty, so a draw cannot fail.
#[derive(Debug)]
pub(super) struct WeightedChoice<T> {
    first: T,
    rest: Vec<T>,
}

impl<T> WeightedChoice<T> {
    pub(super) fn new(first: T, rest: impl IntoIterator<Item = T>) -> Self {
        Self {
            first,
            rest: rest.into_iter().collect(),
        }
    }

    pub(super) fn draw(&self, random: &mut Random) -> &T {
        let at = random.below(self.rest.len() as u64 + 1);
        usize::try_from(at)
            .ok()
            .and_then(|at| self.rest.get(at))
            .unwrap_or(&self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vigna's splitmix64.c with the seed 1234567.
    #[test]
    fn is_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
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
    fn a_choice_draws_all_of_its_things() {
        let choice = WeightedChoice::new('a', ['b', 'c']);
        let mut random = Random::new(0);
        let drawn: std::collections::BTreeSet<char> =
            (0..100).map(|_| *choice.draw(&mut random)).collect();
        assert_eq!(drawn, ['a', 'b', 'c'].into());
    }
}

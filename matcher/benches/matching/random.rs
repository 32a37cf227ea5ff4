//! Randomness from a seed, the same on every machine, and strings whose frequencies follow Zipf's law.

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed` and of what it is for; near seeds give unlike streams.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self { state: seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95) };
        random.state = random.word();
        random
    }

    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `bound`, which is small against 2^32: the bias is below 2^-30.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a usize fits 64 bits");
        usize::try_from(((self.word() >> 32) * bound) >> 32).expect("below a usize")
    }

    /// True so often of a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// In [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `count` different numbers below `bound`, in random order.
    pub fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut all = (0..bound).collect::<Vec<_>>();
        for index in 0..count.min(bound) {
            let other = index + self.below(bound - index);
            all.swap(index, other);
        }
        all.truncate(count);
        all
    }
}

/// Ranks 0, 1, 2 … with frequencies 1, 1/2, 1/3 …
#[derive(Debug)]
pub struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    /// Over so many ranks.
    pub fn new(ranks: u32) -> Self {
        let mut sum = 0.0;
        let mut cumulated = Vec::new();
        for rank in 1..=ranks {
            sum += 1.0 / f64::from(rank);
            cumulated.push(sum);
        }
        for entry in &mut cumulated {
            *entry /= sum;
        }
        Self { cumulated }
    }

    /// A rank.
    pub fn draw(&self, random: &mut Random) -> usize {
        let unit = random.unit();
        self.cumulated.partition_point(|&reached| reached <= unit).min(self.cumulated.len() - 1)
    }
}

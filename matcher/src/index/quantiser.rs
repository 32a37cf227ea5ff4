//! From numbers to codes of one byte, in order: a greater number never has a lower code. The boundaries are learnt from the
//! constants that filters compare with, so that about as many of them lie between any two. Codes only ever decide what is looked
//! at more closely, so bad boundaries cost time and nothing else.

/// Codes between [`CODE_MIN`] and [`CODE_MAX`] need so many boundaries.
const BOUNDARIES_MAX: usize = 251;

/// Below every number: a bound that is open.
pub const OPEN_LOW: u8 = 0;
/// The code of the lowest numbers.
const CODE_MIN: u8 = 1;
/// The code of the highest numbers.
#[cfg(test)]
const CODE_MAX: u8 = 252;
/// Above every number: a bound that is open.
pub const OPEN_HIGH: u8 = 253;
/// Of a publication that has something else than a number, or a NaN: beyond every bound, but there, so that a negated test
/// passes. [`MISSING`](crate::kernel::MISSING), which passes none, is that of one without the attribute.
pub const OTHER: u8 = 254;

/// Constants kept to learn from.
const SAMPLES_MAX: usize = 1023;

/// Boundaries looked at together.
const GROUP: usize = 16;

/// Codes for numbers.
#[derive(Clone, Debug, Default)]
pub struct Quantiser {
    /// Ascending, each once.
    boundaries: Box<[f64]>,
    /// The last of each full group of boundaries; NaN, which no number reaches, where there is none.
    steps: Option<Box<[f64; GROUP]>>,
}

impl Quantiser {
    /// Puts boundaries between the samples.
    pub fn learn(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len().min(BOUNDARIES_MAX);
        let mut boundaries: Vec<f64> =
            (0..count).map(|index| sorted[index * sorted.len() / count]).filter(|sample| !sample.is_nan()).collect();
        // Zeros of both signs are one number.
        boundaries.dedup_by(|later, earlier| later <= earlier);
        let mut steps = [f64::NAN; GROUP];
        for (step, group) in steps.iter_mut().zip(boundaries.chunks_exact(GROUP)) {
            *step = group[GROUP - 1];
        }
        Self { boundaries: boundaries.into(), steps: Some(Box::new(steps)) }
    }

    /// The code of a number; [`OTHER`] for a NaN.
    #[inline]
    pub fn code(&self, number: f64) -> u8 {
        if number.is_nan() {
            return OTHER;
        }
        // Two rounds of counting what is not above, because counting has no branches.
        let count = |boundaries: &[f64]| boundaries.iter().map(|&boundary| u8::from(boundary <= number)).sum::<u8>();
        let Some(steps) = &self.steps else { return CODE_MIN };
        let groups = count(&**steps);
        let rest = &self.boundaries[usize::from(groups) * GROUP..];
        let within = rest.first_chunk::<GROUP>().map_or_else(|| count(rest), |group| count(group));
        CODE_MIN + groups * 16 + within
    }

    /// The codes of bounds; infinite ones are open.
    #[inline]
    pub fn bounds(&self, low: f64, high: f64) -> (u8, u8) {
        let low = if low == f64::NEG_INFINITY { OPEN_LOW } else { self.code(low) };
        let high = if high == f64::INFINITY { OPEN_HIGH } else { self.code(high) };
        (low, high)
    }

    /// The share of codes that a range reaches: about the share of samples in it.
    pub fn share(&self, low: f64, high: f64) -> f64 {
        let below = |number: f64| self.boundaries.partition_point(|&boundary| boundary <= number);
        let reached = below(high).saturating_sub(below(low)) + 1;
        let size = |count: usize| f64::from(u32::try_from(count).expect("at most 252"));
        size(reached) / size(self.boundaries.len() + 1)
    }

    /// The share of samples that have the most frequent code although they differ: near 1/251 where the boundaries fit.
    pub fn crowding(&self, samples: &Samples) -> f64 {
        let mut sorted = samples.kept.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.dedup();
        let longest = sorted.chunk_by(|left, right| self.code(*left) == self.code(*right)).map(<[f64]>::len).max();
        let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        share(longest.unwrap_or(0)) / share(sorted.len().max(1))
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.boundaries) + size_of::<[f64; GROUP]>()
    }
}

/// Constants seen: all of the first, then ever sparser ones, so that they are spread over everything that came.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<f64>,
    seen: u64,
    /// One of so many is kept.
    stride: u64,
}

impl Samples {
    /// A constant came.
    pub fn note(&mut self, constant: f64) {
        self.stride = self.stride.max(1);
        if self.seen.is_multiple_of(self.stride) {
            if self.kept.len() == SAMPLES_MAX {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    // A third, because low and high bounds come in turn.
                    index % 3 == 1
                });
                self.stride *= 3;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.kept.push(constant);
            }
        }
        self.seen += 1;
    }

    /// How many came.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Those that were kept.
    pub fn kept(&self) -> &[f64] {
        &self.kept
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_order_of_numbers() {
        let samples: Vec<f64> = (0..1000_i32).map(|index| f64::from(index * index) - 5e4).collect();
        let quantiser = Quantiser::learn(&samples);
        let mut numbers = samples.clone();
        numbers.extend([f64::NEG_INFINITY, f64::INFINITY, f64::MIN, f64::MAX, -0.0, 0.0, f64::MIN_POSITIVE]);
        numbers.sort_unstable_by(f64::total_cmp);
        assert!(numbers.is_sorted_by_key(|&number| quantiser.code(number)));
        assert_eq!(quantiser.code(f64::NEG_INFINITY), CODE_MIN);
        assert!(quantiser.code(f64::INFINITY) <= CODE_MAX);
        assert_eq!(quantiser.code(-0.0), quantiser.code(0.0));
        assert_eq!(quantiser.code(f64::NAN), OTHER);
        assert_eq!(quantiser.bounds(f64::NEG_INFINITY, f64::INFINITY), (OPEN_LOW, OPEN_HIGH));
    }

    #[test]
    fn learning_spreads_samples_over_codes() {
        let mut samples = Samples::default();
        for index in 0..100_000_u32 {
            samples.note(f64::from(index % 50_021).sqrt());
        }
        assert!(samples.kept().len() <= SAMPLES_MAX && samples.seen() == 100_000);
        assert!(Quantiser::default().crowding(&samples) > 0.9);
        assert!(Quantiser::learn(samples.kept()).crowding(&samples) < 0.02);
    }
}

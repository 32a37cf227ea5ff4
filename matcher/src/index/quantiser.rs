//! From numbers to codes of one byte, in order: a greater number never has a lower code. The boundaries are learnt from the
//! constants that filters compare with, so that about as many of them lie between any two. Codes only ever decide what is looked
//! at more closely, so bad boundaries cost time and nothing else.

use super::blocks::Coded;
use crate::kernel::{GROUP, Kernel};

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

/// Codes for numbers.
#[derive(Clone, Debug, Default)]
pub struct Quantiser {
    /// Ascending, each once, and NaN, which no number reaches, up to a full group.
    groups: Box<[[f64; GROUP]]>,
    /// The last of each group.
    steps: Option<Box<[f64; GROUP]>>,
    /// Boundaries, without what only fills up.
    length: usize,
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
        // One more group than are full, which a number above all boundaries is compared with.
        let mut groups = vec![[f64::NAN; GROUP]; boundaries.len() / GROUP + 1];
        for (place, &boundary) in groups.as_flattened_mut().iter_mut().zip(&boundaries) {
            *place = boundary;
        }
        let mut steps = [f64::NAN; GROUP];
        for (step, group) in steps.iter_mut().zip(&groups) {
            *step = group[GROUP - 1];
        }
        Self { groups: groups.into(), steps: Some(Box::new(steps)), length: boundaries.len() }
    }

    /// The code of a number; [`OTHER`] for a NaN.
    #[inline]
    pub fn code(&self, kernel: Kernel, number: f64) -> u8 {
        if number.is_nan() {
            return OTHER;
        }
        // Two rounds of counting what is not above, because counting has no branches.
        let Some(steps) = &self.steps else { return CODE_MIN };
        let full = kernel.count_reached(steps, number);
        let within = kernel.count_reached(&self.groups[usize::from(full)], number);
        CODE_MIN + full * 16 + within
    }

    /// The fine code of a number that has this code: where in the interval of the code it lies, in order. A greater number of the
    /// same code never has a lower one, because every step rounds in order.
    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255, or held there")]
    pub fn fine(&self, number: f64, code: u8) -> u8 {
        let Some(below) = usize::from(code).checked_sub(usize::from(CODE_MIN) + 1) else { return 0 };
        let boundaries = self.boundaries();
        let Some(&low) = boundaries.get(below) else { return 0 };
        let width = match boundaries.get(below + 1) {
            Some(high) => high - low,
            // Above the last boundary, some of what all below it span is thought to be usual.
            None => (low - boundaries[0]) / 16.0,
        };
        // Nothing is told apart where this is not a number.
        ((number - low) / width * 256.0) as u8
    }

    /// A test for being within bounds, by this feature's codes.
    pub fn test(&self, feature: u8, low: f64, high: f64) -> Coded {
        let (low_code, high_code) = self.bounds(low, high);
        let fine = |number: f64, code: u8| if code == OPEN_HIGH { 0 } else { self.fine(number, code) };
        let (fine_low, fine_high) = (fine(low, low_code), fine(high, high_code));
        Coded { feature, low: low_code, high: high_code, fine_low, fine_high }
    }

    fn boundaries(&self) -> &[f64] {
        &self.groups.as_flattened()[..self.length]
    }

    /// The codes of bounds; infinite ones are open.
    #[inline]
    pub fn bounds(&self, low: f64, high: f64) -> (u8, u8) {
        let low = if low == f64::NEG_INFINITY { OPEN_LOW } else { self.code(Kernel::detect(), low) };
        let high = if high == f64::INFINITY { OPEN_HIGH } else { self.code(Kernel::detect(), high) };
        (low, high)
    }

    /// The share of codes that a range reaches: about the share of samples in it.
    pub fn share(&self, low: f64, high: f64) -> f64 {
        // Codes count the boundaries that are not above.
        let code = |number: f64| usize::from(self.code(Kernel::detect(), number));
        let reached = code(high).saturating_sub(code(low)) + 1;
        let size = |count: usize| f64::from(u32::try_from(count).expect("at most 252"));
        size(reached) / size(self.length + 1)
    }

    /// The share of samples that have the most frequent code although they differ: near 1/251 where the boundaries fit.
    pub fn crowding(&self, samples: &Samples) -> f64 {
        let kernel = Kernel::detect();
        let mut sorted = samples.kept.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.dedup();
        let longest = sorted
            .chunk_by(|left, right| self.code(kernel, *left) == self.code(kernel, *right))
            .map(<[f64]>::len)
            .max();
        let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        share(longest.unwrap_or(0)) / share(sorted.len().max(1))
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.groups) + size_of::<[f64; GROUP]>()
    }
}

/// Constants seen: all of the first, then ever sparser ones, so that they are spread over everything that came.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<f64>,
    seen: u64,
    /// One of so many is kept.
    stride: u64,
    /// When that is again.
    next: u64,
}

impl Samples {
    /// A constant came.
    pub fn note(&mut self, constant: f64) {
        if self.seen == self.next {
            self.stride = self.stride.max(1);
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
            self.next = (self.seen / self.stride + 1) * self.stride;
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
        assert!(numbers.is_sorted_by_key(|&number| quantiser.code(Kernel::detect(), number)));
        let both = |number: f64| {
            (quantiser.code(Kernel::detect(), number), quantiser.fine(number, quantiser.code(Kernel::detect(), number)))
        };
        numbers.extend((0..100_000_i32).map(|index| f64::from(index) * 11.3 - 6e4));
        numbers.sort_unstable_by(f64::total_cmp);
        assert!(numbers.is_sorted_by_key(|&number| both(number)));
        numbers.dedup_by_key(|&mut number| both(number));
        assert!(numbers.len() > 20_000, "{} are told apart", numbers.len());
        assert_eq!(quantiser.code(Kernel::detect(), f64::NEG_INFINITY), CODE_MIN);
        assert!(quantiser.code(Kernel::detect(), f64::INFINITY) <= CODE_MAX);
        assert_eq!(quantiser.code(Kernel::detect(), -0.0), quantiser.code(Kernel::detect(), 0.0));
        assert_eq!(quantiser.code(Kernel::detect(), f64::NAN), OTHER);
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

//! What one subscriber must hear, and what it heard: each publication once and in the order of its publisher, how late, and for
//! how long it heard nothing although something was due. Pure; knows nothing of how the publications travel.
//!
//! Latencies and silences count from the moment at which a publication should have been sent, not from when it was: a generator
//! that is held up by the cluster hides nothing.

use std::collections::{BTreeMap, VecDeque};

use hdrhistogram::Histogram;

/// Latencies above count as this: a minute, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// The parts of a run, as they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is compared: connections warm up, or the run is at its end.
    Aside,
    /// The same load for as long, and nothing changes.
    Control,
    /// The moments before the change is asked for.
    Before,
    /// From the request until the change is done and a moment after.
    During,
}

impl Phase {
    /// How many there are.
    const COUNT: usize = 4;

    /// As it is kept in an atomic.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aside => 0,
            Self::Control => 1,
            Self::Before => 2,
            Self::During => 3,
        }
    }

    /// Back from [`Phase::number`].
    pub const fn of_number(number: u8) -> Self {
        match number {
            1 => Self::Control,
            2 => Self::Before,
            3 => Self::During,
            _ => Self::Aside,
        }
    }
}

/// A publication that has to come.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Its number in its publisher; they grow.
    pub number: u64,
    /// When it should have been sent, by the generator's clock.
    pub scheduled_ns: u64,
    /// The part of the run that this falls into.
    pub phase: Phase,
}

/// What one subscriber must hear and heard.
#[derive(Debug)]
pub struct Expected {
    /// By publisher, in order.
    due: Vec<VecDeque<Due>>,
    /// By publisher: passed over by a later one.
    missing: Vec<BTreeMap<u64, Due>>,
    latency: [Histogram<u64>; Phase::COUNT],
    silence_ns_max: [u64; Phase::COUNT],
    last_ns: u64,
    /// Came again, or was never due.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Came.
    pub arrived: u64,
}

impl Expected {
    /// Of so many publishers.
    pub fn new(publishers: usize) -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds that make sense");
        Self {
            due: vec![VecDeque::new(); publishers],
            missing: vec![BTreeMap::new(); publishers],
            latency: std::array::from_fn(|_| histogram()),
            silence_ns_max: [0; Phase::COUNT],
            last_ns: 0,
            duplicated: 0,
            reordered: 0,
            arrived: 0,
        }
    }

    /// A publication is about to be sent.
    pub fn expect(&mut self, publisher: usize, due: Due) {
        self.due[publisher].push_back(due);
    }

    /// A notification came. One of a publisher that is not ours counts as nothing due. Says how many microseconds after its publication was
    /// due, if it was missing.
    pub fn arrive(&mut self, publisher: usize, number: u64, now_ns: u64) -> Option<u64> {
        let Some(oldest) = self.oldest_due() else {
            self.duplicated += 1;
            return None;
        };
        let silent_ns = now_ns.saturating_sub(oldest.scheduled_ns.max(self.last_ns));
        let longest = &mut self.silence_ns_max[usize::from(oldest.phase.number())];
        *longest = (*longest).max(silent_ns);
        self.last_ns = now_ns;
        let (Some(queue), Some(missing)) = (self.due.get_mut(publisher), self.missing.get_mut(publisher)) else {
            self.duplicated += 1;
            return None;
        };
        while let Some(next) = queue.pop_front_if(|next| next.number < number) {
            missing.insert(next.number, next);
        }
        let due = match queue.pop_front_if(|next| next.number == number) {
            Some(due) => due,
            None => match missing.remove(&number) {
                Some(due) => {
                    self.reordered += 1;
                    due
                }
                None => {
                    self.duplicated += 1;
                    return None;
                }
            },
        };
        self.arrived += 1;
        let latency_us = now_ns.saturating_sub(due.scheduled_ns) / 1_000;
        self.latency[usize::from(due.phase.number())].saturating_record(latency_us);
        Some(latency_us)
    }

    /// What should have been sent first of all that has not come.
    pub fn oldest_due(&self) -> Option<Due> {
        let fronts = self.due.iter().filter_map(VecDeque::front);
        let missing = self.missing.iter().filter_map(|missing| missing.values().next());
        fronts.chain(missing).min_by_key(|due| due.scheduled_ns).copied()
    }

    /// How many have not come.
    pub fn outstanding(&self) -> u64 {
        let count = self.due.iter().map(VecDeque::len).chain(self.missing.iter().map(BTreeMap::len)).sum::<usize>();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// By publisher: the first that has not come, when it should have been sent, and how many have not.
    pub fn overdue(&self) -> Vec<(usize, Due, usize)> {
        let of = |(publisher, (queue, missing)): (usize, (&VecDeque<Due>, &BTreeMap<u64, Due>))| {
            let first = missing.values().next().or(queue.front())?;
            Some((publisher, *first, queue.len() + missing.len()))
        };
        self.due.iter().zip(&self.missing).enumerate().filter_map(of).collect()
    }

    /// Microseconds from when each should have been sent to its arrival.
    pub fn latency(&self, phase: Phase) -> &Histogram<u64> {
        &self.latency[usize::from(phase.number())]
    }

    /// For how long nothing came although something was due, at most.
    pub fn silence_ns_max(&self, phase: Phase) -> u64 {
        self.silence_ns_max[usize::from(phase.number())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn expecting(publisher: usize, numbers: impl IntoIterator<Item = u64>) -> Expected {
        let mut expected = Expected::new(2);
        for number in numbers {
            expected.expect(publisher, Due { number, scheduled_ns: number * MS, phase: Phase::During });
        }
        expected
    }

    #[test]
    fn what_comes_once_and_in_order_is_as_it_should_be() {
        let mut expected = expecting(0, 1..=3);
        for number in 1..=3 {
            expected.arrive(0, number, number * MS + 500_000);
        }
        assert_eq!((expected.arrived, expected.outstanding()), (3, 0));
        assert_eq!((expected.duplicated, expected.reordered), (0, 0));
        assert_eq!(expected.latency(Phase::During).max(), 500);
        assert_eq!(expected.silence_ns_max(Phase::During), 500_000);
    }

    #[test]
    fn what_comes_twice_late_or_never_is_told_apart() {
        let mut expected = expecting(0, [1, 2, 5, 6]);
        for number in [1, 5, 2, 5, 4] {
            expected.arrive(0, number, 10 * MS);
        }
        // 5 came twice and 4 was not due; 2 came after 5; 6 never came.
        assert_eq!((expected.duplicated, expected.reordered, expected.outstanding()), (2, 1, 1));
    }

    #[test]
    fn silence_counts_while_something_is_due_and_not_else() {
        let mut expected = expecting(0, [1]);
        expected.arrive(0, 1, 2 * MS);
        // Nothing is due for 100 ms; then two are, of which the first comes 30 ms late.
        for number in [102, 103] {
            expected.expect(1, Due { number, scheduled_ns: number * MS, phase: Phase::During });
        }
        expected.arrive(1, 102, 132 * MS);
        expected.arrive(1, 103, 133 * MS);
        assert_eq!(expected.silence_ns_max(Phase::During), 30 * MS);
    }
}

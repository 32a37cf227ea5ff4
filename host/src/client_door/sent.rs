//! Which publications of a stream are neither acknowledged nor refused: what a stream that the client has finished still has
//! to wait for. Sequences mostly follow each other, so runs of them are kept.

use std::collections::VecDeque;

use gomera_cluster::identity::Sequence;

/// Unsettled sequences, as runs from first to last.
#[derive(Debug, Default)]
pub struct Sent {
    runs: VecDeque<(u64, u64)>,
}

impl Sent {
    /// One more was sent.
    pub fn push(&mut self, sequence: Sequence) {
        match self.runs.back_mut() {
            Some((_, last)) if *last + 1 == sequence.0 => *last = sequence.0,
            Some(_) | None => self.runs.push_back((sequence.0, sequence.0)),
        }
    }

    /// Everything up to here is settled.
    pub fn acknowledge(&mut self, through: Sequence) {
        self.runs.retain_mut(|(first, last)| {
            *first = (*first).max(through.0.saturating_add(1));
            *first <= *last
        });
    }

    /// This one is settled.
    pub fn refuse(&mut self, sequence: Sequence) {
        let Some(index) = self.runs.iter().position(|&(first, last)| (first..=last).contains(&sequence.0)) else {
            return;
        };
        let (first, last) = self.runs[index];
        match (first == sequence.0, last == sequence.0) {
            (true, true) => drop(self.runs.remove(index)),
            (true, false) => self.runs[index].0 += 1,
            (false, true) => self.runs[index].1 -= 1,
            (false, false) => {
                self.runs[index].1 = sequence.0 - 1;
                self.runs.insert(index + 1, (sequence.0 + 1, last));
            }
        }
    }

    /// Whether everything is settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_settled_once_each_is_acknowledged_or_refused() {
        let mut sent = Sent::default();
        for sequence in [1, 2, 3, 4, 9, 10, 2] {
            sent.push(Sequence(sequence));
        }
        sent.refuse(Sequence(2));
        sent.refuse(Sequence(10));
        sent.acknowledge(Sequence(3));
        assert!(!sent.is_settled(), "{sent:?}");
        sent.acknowledge(Sequence(9));
        assert!(sent.is_settled(), "{sent:?}");
    }

    #[test]
    fn a_refused_last_one_does_not_keep_the_rest_waiting() {
        let mut sent = Sent::default();
        sent.push(Sequence(1));
        sent.push(Sequence(7));
        sent.refuse(Sequence(7));
        sent.refuse(Sequence(7));
        sent.acknowledge(Sequence(1));
        assert!(sent.is_settled());
    }
}

//! The matchers that a lane is sent to: how far, how much credit is left, and how far they have come.

use std::collections::{BTreeMap, VecDeque};

use gomera_cluster::address::Address;
use gomera_cluster::credit::{SendCredit, Total};
use gomera_cluster::layout::Layout;
use gomera_cluster::position::Number;

/// Whether a matcher is sent publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It is.
    Seeing,
    /// It only loads slices.
    Blind,
}

/// One matcher machine.
#[derive(Debug, Default)]
pub struct Reader {
    /// Nothing up to this number is still to be sent.
    pub sent: Number,
    /// The last number that a frame told of: behind it lie publications that it is not sent.
    pub told: Number,
    /// What it lets be sent.
    pub credit: SendCredit,
    /// The last number it has worked off.
    pub progressed: Number,
    /// The last number of which it was told that all exit points have merged it.
    pub told_merged: Number,
    /// Whether it is sent publications, by the number of the barrier that says so.
    sight: VecDeque<(Number, Sight)>,
    /// A proposal removes it: nothing more is sent to it.
    is_removed: bool,
}

impl Reader {
    /// Everything up to there is sent, or none of its business.
    pub fn pass(&mut self, through: Number) {
        self.sent = through;
        while self.sight.get(1).is_some_and(|&(barrier, _)| barrier <= through) {
            self.sight.pop_front();
        }
    }

    /// Whether it is sent the publication of this number.
    pub fn sees(&self, number: Number) -> bool {
        let governs = |&&(barrier, _): &&(Number, Sight)| barrier < number;
        self.sight.iter().rev().find(governs).is_none_or(|&(_, sight)| sight == Sight::Seeing)
    }
}

/// One that is served no more.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    /// Which one.
    pub matcher: Address,
    /// The last number it was sent.
    pub sent: Number,
    /// The last number it had worked off.
    pub progressed: Number,
}

/// All matcher machines of a lane.
#[derive(Debug, Default)]
pub struct Readers {
    by_address: BTreeMap<Address, Reader>,
}

impl Readers {
    /// Serves these machines from now on; new ones begin after `last`, the end of the lane. Gives those that are served no more.
    pub fn serve(&mut self, matchers: &[Address], last: Number) -> Vec<Gone> {
        let gone = self.by_address.extract_if(.., |address, _| matchers.binary_search(address).is_err());
        let gone = gone.map(|(matcher, reader)| Gone { matcher, sent: reader.sent, progressed: reader.progressed });
        let gone = gone.collect();
        for &address in matchers {
            let begin = || Reader { sent: last, told: last, progressed: last, told_merged: last, ..Reader::default() };
            self.by_address.entry(address).or_insert_with(begin);
        }
        gone
    }

    /// From the barrier of this number on these are sent publications.
    pub fn turn(&mut self, barrier: Number, seeing: &[Address]) {
        for (address, reader) in &mut self.by_address {
            let sight = if seeing.binary_search(address).is_ok() { Sight::Seeing } else { Sight::Blind };
            if reader.sight.back().is_none_or(|&(_, before)| before != sight) {
                reader.sight.push_back((barrier, sight));
            }
        }
    }

    /// Sends nothing more to whom a proposal removes.
    pub fn part(&mut self, proposal: &Layout) {
        for (&address, reader) in &mut self.by_address {
            reader.is_removed |= !proposal.names(address);
        }
    }

    /// Whether anything is sent to this matcher.
    pub fn serves(&self, matcher: Address) -> bool {
        self.by_address.get(&matcher).is_some_and(|reader| !reader.is_removed)
    }

    /// A grant from a matcher.
    pub fn grant(&mut self, from: Address, total: Total) {
        if let Some(reader) = self.by_address.get_mut(&from) {
            reader.credit.grant(total);
        }
    }

    /// A report from a matcher; the last number it had worked off before, if it is one of ours.
    ///
    /// # Panics
    /// If it reports what it was never sent.
    pub fn progress(&mut self, from: Address, through: Number) -> Option<Number> {
        let reader = self.by_address.get_mut(&from)?;
        assert!(through <= reader.sent, "{from} has worked off {}, but was sent {} only", through.0, reader.sent.0);
        let before = reader.progressed;
        reader.progressed = before.max(through);
        Some(before)
    }

    /// The last number that all of them were sent that anything is sent to.
    pub fn sent_to_all(&self) -> Number {
        let served = self.by_address.values().filter(|reader| !reader.is_removed);
        served.map(|reader| reader.sent).min().unwrap_or(Number::ZERO)
    }

    /// Whether all that anything is sent to were told that everything up to `merged` is.
    pub fn know_merged(&self, merged: Number) -> bool {
        self.by_address.values().all(|reader| reader.is_removed || reader.told_merged >= merged)
    }

    /// Those that anything is sent to, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Address, &mut Reader)> {
        let served = self.by_address.iter_mut().filter(|(_, reader)| !reader.is_removed);
        served.map(|(&address, reader)| (address, reader))
    }
}

//! The matchers that a lane is sent to: how far, how much credit is left, and how far they have come.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::credit::{SendCredit, Total};
use gomera_cluster::position::Number;

/// One matcher machine.
#[derive(Debug, Default)]
pub struct Reader {
    /// The last number sent.
    pub sent: Number,
    /// What it lets be sent.
    pub credit: SendCredit,
    /// The last number it has worked off.
    pub progressed: Number,
}

/// All matcher machines of a lane.
#[derive(Debug, Default)]
pub struct Readers {
    by_address: BTreeMap<Address, Reader>,
}

impl Readers {
    /// Serves these machines from now on; new ones begin after `last`, the end of the lane. Gives those that are served no more, each
    /// with the last number it had worked off.
    pub fn serve(&mut self, matchers: &[Address], last: Number) -> Vec<(Address, Number)> {
        let gone = self.by_address.extract_if(.., |address, _| matchers.binary_search(address).is_err());
        let gone = gone.map(|(address, reader)| (address, reader.progressed)).collect();
        for &address in matchers {
            let begin = || Reader { sent: last, progressed: last, credit: SendCredit::default() };
            self.by_address.entry(address).or_insert_with(begin);
        }
        gone
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

    /// The last number that all of them were sent.
    pub fn sent_to_all(&self) -> Number {
        self.by_address.values().map(|reader| reader.sent).min().unwrap_or(Number::ZERO)
    }

    /// All of them, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Address, &mut Reader)> {
        self.by_address.iter_mut().map(|(&address, reader)| (address, reader))
    }
}

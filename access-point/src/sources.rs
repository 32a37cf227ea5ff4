//! The connection points that a lane takes publications and operations from, and the credit it grants each.
//!
//! Credit is freed when what it stood for is retained no longer, so the limit on retention and the flow control of
//! publishers are one thing.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::credit::{Class, ReceiveCredit, Total};

/// One connection point's two windows.
#[derive(Debug)]
struct Source {
    publications: ReceiveCredit,
    operations: ReceiveCredit,
}

/// All connection points of a lane.
#[derive(Debug, Default)]
pub struct Sources {
    windows: BTreeMap<Address, Source>,
}

/// A grant to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub to: Address,
    /// For what.
    pub class: Class,
    /// How much in total.
    pub total: Total,
}

impl Sources {
    /// Serves exactly these connection points from now on. New ones get an equal share of the limits; those that are there
    /// keep theirs, so that the limit can be exceeded by one share for each that joins late.
    pub fn serve(&mut self, connection_points: &[Address], publication_bytes: u64, operation_bytes: u64) {
        let count = u64::try_from(connection_points.len().max(1)).expect("a length fits 64 bits");
        self.windows.retain(|address, _| connection_points.contains(address));
        for &address in connection_points {
            self.windows.entry(address).or_insert_with(|| Source {
                publications: ReceiveCredit::new((publication_bytes / count).max(1)),
                operations: ReceiveCredit::new((operation_bytes / count).max(1)),
            });
        }
    }

    /// Whether it is served.
    pub fn serves(&self, address: Address) -> bool {
        self.windows.contains_key(&address)
    }

    /// So many bytes of publications from it take no room any more.
    pub fn free_publications(&mut self, address: Address, cost: u64) {
        if let Some(source) = self.windows.get_mut(&address) {
            source.publications.consume(cost);
        }
    }

    /// So many bytes of operations from it take no room any more.
    pub fn free_operations(&mut self, address: Address, cost: u64) {
        if let Some(source) = self.windows.get_mut(&address) {
            source.operations.consume(cost);
        }
    }

    /// What is worth granting now.
    pub fn grants(&mut self) -> impl Iterator<Item = Grant> + '_ {
        self.windows.iter_mut().flat_map(|(&to, source)| {
            let publications = source.publications.grant().map(|total| Grant { to, class: Class::Live, total });
            let operations = source.operations.grant().map(|total| Grant { to, class: Class::Operation, total });
            [publications, operations].into_iter().flatten()
        })
    }
}

//! The exit points of a lane: who is told from which barrier on, and what they granted before.
//!
//! Outputs stand in the order of the exit points of the layout that governs the lane. An exit point that a barrier lets in is told where
//! the lane begins for it; one that the latest layout does not name is told nothing more, whether or not the lane has come so far.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::Address;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::exit_point::{LaneBegins, ToExitPoint};
use gomera_cluster::position::{LaneId, Number};

use crate::output::Output;
use crate::ownership::Ownership;

/// What a lane keeps of exit points beside outputs.
#[derive(Debug)]
pub struct Exits {
    /// What those of the latest layout granted: credit of one that the lane has not come to yet.
    granted: BTreeMap<Address, Total>,
    /// Those of the latest layout, in order.
    latest: Vec<Address>,
    /// Of a lane that ended: those that were told that it ends before it begins for them.
    told: BTreeSet<Address>,
    /// To be sent.
    pub actions: Vec<Send>,
    frame_bytes_max: u64,
}

impl Exits {
    /// Nothing yet.
    pub fn new(frame_bytes_max: u64, latest: &[Address]) -> Self {
        Self {
            granted: BTreeMap::new(),
            latest: latest.to_vec(),
            told: BTreeSet::new(),
            actions: Vec::new(),
            frame_bytes_max,
        }
    }

    /// An exit point lets so much be sent.
    pub fn grant(&mut self, from: Address, total: Total) {
        let granted = self.granted.entry(from).or_default();
        *granted = (*granted).max(total);
    }

    /// A layout is in force with these exit points.
    pub fn retain(&mut self, exit_points: &[Address]) {
        self.latest = exit_points.to_vec();
        self.granted.retain(|exit_point, _| exit_points.binary_search(exit_point).is_ok());
        self.told.retain(|exit_point| exit_points.binary_search(exit_point).is_ok());
    }

    /// Brings outputs into the order of the layout whose barrier stands at `number`; says who has come.
    pub fn change(
        &self,
        lane: LaneId,
        outputs: &mut Vec<Output>,
        governed: &Ownership,
        number: Number,
    ) -> Vec<Address> {
        let mut before = std::mem::take(outputs);
        let mut newly = Vec::new();
        for &to in &governed.exit_points {
            match before.iter().position(|output| output.address() == to) {
                Some(index) => outputs.push(before.swap_remove(index)),
                None => {
                    let mut output = Output::new(to, lane, Class::Live, self.frame_bytes_max);
                    // The barrier that a lane begins with is told to all.
                    output.begin_at(if number == Number::ZERO.next() { Number::ZERO } else { number });
                    if let Some(&total) = self.granted.get(&to) {
                        output.grant(total);
                    }
                    if self.latest.binary_search(&to).is_ok() {
                        newly.push(to);
                    } else {
                        output.finish();
                    }
                    outputs.push(output);
                }
            }
        }
        newly
    }

    /// Whether the latest layout names it.
    pub fn lives(&self, exit_point: Address) -> bool {
        self.latest.binary_search(&exit_point).is_ok()
    }

    /// Those of the latest layout that have no output and were told nothing: from now on they were.
    pub fn unbegun(&mut self, outputs: &[Output]) -> Vec<Address> {
        let told = &mut self.told;
        let is_unbegun = |to: &Address| !outputs.iter().any(|output| output.address() == *to) && told.insert(*to);
        self.latest.iter().copied().filter(is_unbegun).collect()
    }

    /// Tells exit points where the lane begins for them.
    pub fn tell(&mut self, exit_points: Vec<Address>, begins: LaneBegins) {
        for to in exit_points {
            let message = Message::ExitPoint(ToExitPoint::LaneBegins(begins));
            self.actions.push(Send { to, message });
        }
    }
}

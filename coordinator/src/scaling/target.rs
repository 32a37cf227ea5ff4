//! Who should hold the slices of a layer: active replicas spread evenly over machines, standbys on other nodes and spread
//! so that those of one node's slices are shared by all others; with as few moves as that allows.
//!
//! The target is computed anew from what stands in the layout, so it must not change while it is being reached: whoever is on
//! the way to a slice is preferred for it, and ties go by address.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::{Address, Incarnation};
use gomera_cluster::layout::{Placement, Role};

/// Who should hold a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Decides.
    pub active: Address,
    /// Hold it too.
    pub standbys: Vec<Address>,
}

impl Target {
    /// Whether it is among them.
    pub fn names(&self, machine: Address) -> bool {
        self.active == machine || self.standbys.contains(&machine)
    }

    /// All of them.
    pub fn replicas(&self) -> impl Iterator<Item = Address> + '_ {
        std::iter::once(self.active).chain(self.standbys.iter().copied())
    }
}

/// Targets for all slices of a layer.
///
/// # Panics
/// If there is no machine.
pub fn targets(placements: &[Placement], machines: &[Address], replication: usize) -> Vec<Target> {
    let actives = actives(placements, machines);
    let standbys = standbys(placements, &actives, machines, replication.saturating_sub(1));
    actives.into_iter().zip(standbys).map(|(active, standbys)| Target { active, standbys }).collect()
}

/// As many for each machine, but for one more where it does not come out even.
fn actives(placements: &[Placement], machines: &[Address]) -> Vec<Address> {
    let mut load: BTreeMap<Address, usize> = machines.iter().map(|&machine| (machine, 0)).collect();
    for active in placements.iter().filter_map(Placement::active) {
        if let Some(load) = load.get_mut(&active) {
            *load += 1;
        }
    }
    let (share, mut extra) = (placements.len() / machines.len(), placements.len() % machines.len());
    let mut room: BTreeMap<Address, usize> = load.keys().map(|&machine| (machine, share)).collect();
    // Who has more than its share keeps one more, as far as that goes round; only then those who have less get one.
    let (above, below): (Vec<_>, Vec<_>) = load.iter().partition(|&(_, &load)| load > share);
    for (machine, _) in above.into_iter().chain(below) {
        if extra > 0 {
            extra -= 1;
            *room.get_mut(machine).expect("each machine has room") += 1;
        }
    }
    let mut chosen: Vec<Option<Address>> = vec![None; placements.len()];
    let mut take = |chosen: &mut Option<Address>, machine: Address| {
        let Some(left) = room.get_mut(&machine).filter(|left| **left > 0) else { return false };
        *left -= 1;
        *chosen = Some(machine);
        true
    };
    for (chosen, placement) in chosen.iter_mut().zip(placements) {
        if let Some(active) = placement.active() {
            take(chosen, active);
        }
    }
    for (chosen, placement) in chosen.iter_mut().zip(placements).filter(|(chosen, _)| chosen.is_none()) {
        // Who holds it already, nearest to taking over first.
        let mut holders: Vec<_> =
            placement.replicas.iter().map(|replica| (nearness(replica.role), replica.holder)).collect();
        holders.sort_unstable();
        let _found = holders.into_iter().any(|(_, holder)| take(chosen, holder));
    }
    chosen
        .into_iter()
        .map(|chosen| {
            chosen.unwrap_or_else(|| {
                let most = room.iter().max_by_key(|&(&machine, &left)| (left, std::cmp::Reverse(machine)));
                let machine = *most.expect("there is a machine").0;
                *room.get_mut(&machine).expect("found there") -= 1;
                machine
            })
        })
        .collect()
}

/// Lower is nearer to being able to decide.
fn nearness(role: Role) -> u8 {
    match role {
        Role::Active => 0,
        Role::Standby => 1,
        Role::Retiring => 2,
        Role::Joining => 3,
    }
}

/// So many others for each slice, on nodes of their own; fewer if there are not so many nodes.
fn standbys(placements: &[Placement], actives: &[Address], machines: &[Address], wanted: usize) -> Vec<Vec<Address>> {
    let mut spare = Spare::new(placements, actives, machines);
    for (slice, placement) in placements.iter().enumerate() {
        // Who is on the way; else who has least to do, so that a choice between two stays the same until one has left.
        let mut holders: Vec<_> = placement
            .replicas
            .iter()
            .map(|replica| (replica.role != Role::Joining, spare.now(replica.holder), replica.holder))
            .collect();
        holders.sort_unstable();
        for (_, _, holder) in holders {
            if spare.chosen[slice].len() < wanted && spare.fits(slice, holder) {
                spare.choose(slice, holder);
            }
        }
    }
    for slice in 0..placements.len() {
        while spare.chosen[slice].len() < wanted {
            let Some(machine) = spare.least(slice) else { break };
            spare.choose(slice, machine);
        }
    }
    // A little more is not worth a move.
    let share = placements.len() * wanted / machines.len();
    spare.level(1 + (share / 8).max(1));
    for chosen in &mut spare.chosen {
        chosen.sort_unstable();
    }
    spare.chosen
}

/// Standbys as they are being chosen.
struct Spare<'a> {
    actives: &'a [Address],
    chosen: Vec<Vec<Address>>,
    load: BTreeMap<Address, usize>,
    /// How many slices of one node a machine stands by for.
    shared: BTreeMap<(Incarnation, Address), usize>,
    /// Replicas that are not active, as it stands.
    now: BTreeMap<Address, usize>,
}

impl<'a> Spare<'a> {
    fn new(placements: &[Placement], actives: &'a [Address], machines: &[Address]) -> Self {
        let mut now = BTreeMap::new();
        for replica in placements.iter().flat_map(|placement| &placement.replicas) {
            *now.entry(replica.holder).or_default() += usize::from(replica.role != Role::Active);
        }
        Self {
            actives,
            chosen: vec![Vec::new(); placements.len()],
            load: machines.iter().map(|&machine| (machine, 0)).collect(),
            shared: BTreeMap::new(),
            now,
        }
    }

    fn now(&self, machine: Address) -> usize {
        self.now.get(&machine).copied().unwrap_or(0)
    }

    fn fits(&self, slice: usize, machine: Address) -> bool {
        self.load.contains_key(&machine)
            && machine.node != self.actives[slice].node
            && self.chosen[slice].iter().all(|other| other.node != machine.node)
    }

    fn choose(&mut self, slice: usize, machine: Address) {
        self.chosen[slice].push(machine);
        *self.load.get_mut(&machine).expect("only machines are chosen") += 1;
        *self.shared.entry((self.actives[slice].node, machine)).or_default() += 1;
    }

    fn give_up(&mut self, slice: usize, machine: Address) {
        self.chosen[slice].retain(|&other| other != machine);
        *self.load.get_mut(&machine).expect("it was chosen") -= 1;
        *self.shared.get_mut(&(self.actives[slice].node, machine)).expect("it was chosen") -= 1;
    }

    /// Who has least to do and shares least of this node's slices.
    fn least(&self, slice: usize) -> Option<Address> {
        let node = self.actives[slice].node;
        let burden = |machine, load| load + self.shared.get(&(node, machine)).copied().unwrap_or(0);
        let candidates = self.load.iter().filter(|&(&machine, _)| self.fits(slice, machine));
        candidates.min_by_key(|&(&machine, &load)| (burden(machine, load), machine)).map(|(&machine, _)| machine)
    }

    /// Moves standbys from whom stands by for most to others as long as that makes it more even by more than `slack`.
    fn level(&mut self, slack: usize) {
        let mut exhausted = BTreeSet::new();
        while let Some((from, most)) = self.heaviest(&exhausted) {
            let mut moved = false;
            for slice in 0..self.chosen.len() {
                if !self.chosen[slice].contains(&from) {
                    continue;
                }
                let lighter =
                    |machine: &Address| self.load[machine] + slack < most && self.fits_instead(slice, from, *machine);
                let to = self.load.keys().copied().filter(lighter).min_by_key(|machine| (self.load[machine], *machine));
                if let Some(to) = to {
                    self.give_up(slice, from);
                    self.choose(slice, to);
                    moved = true;
                    break;
                }
            }
            if !moved {
                exhausted.insert(from);
            }
        }
    }

    fn heaviest(&self, except: &BTreeSet<Address>) -> Option<(Address, usize)> {
        let others = self.load.iter().filter(|(machine, _)| !except.contains(*machine));
        others
            .map(|(&machine, &load)| (machine, load))
            .max_by_key(|&(machine, load)| (load, std::cmp::Reverse(machine)))
    }

    fn fits_instead(&self, slice: usize, from: Address, to: Address) -> bool {
        to.node != self.actives[slice].node
            && self.chosen[slice].iter().all(|&other| other == from || other.node != to.node)
    }
}

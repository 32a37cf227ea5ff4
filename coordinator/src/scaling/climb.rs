//! The ladder of one slice: what its replicas may do now.
//!
//! ```text
//!   absent ──▶ joining ──▶ standby ──▶ active ──▶ retiring ──▶ absent
//!                 │ snapshot  ▲ ▲                    │   ▲
//!                 │ is in     │ └── is wanted still ─┘   │ every open lane has the barrier
//!                 └───────────┴── takes over             └── so does a standby that is not wanted
//! ```

use gomera_cluster::address::Address;
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, Placement, Replica, Role};

use super::target::Target;

/// What one call did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    /// Replicas that begin to join.
    pub joined: usize,
    /// A replica would leave if all lanes had written the barrier.
    pub awaits_barriers: bool,
    /// A standby would take over if it had agreed with the others.
    pub awaits_agreement: bool,
}

/// Replicas that join.
pub fn joining(placements: &[Placement]) -> usize {
    placements.iter().flat_map(|placement| &placement.replicas).filter(|replica| replica.role == Role::Joining).count()
}

/// Gives a slice whose active replica died another one: a standby; else one that was about to become one; else somebody who
/// begins with nothing. Whether the state is lost.
pub fn succeed(
    placement: &mut Placement,
    installed: &impl Fn(Address) -> bool,
    epoch: Epoch,
    otherwise: Address,
) -> bool {
    if placement.active().is_some() {
        return false;
    }
    let rank = |replica: &Replica| match replica.role {
        Role::Active => 4,
        Role::Standby => 3,
        // It holds everything: nothing was taken from it since.
        Role::Retiring => 2,
        Role::Joining => u8::from(installed(replica.holder)),
    };
    let heir = placement.replicas.iter().max_by_key(|replica| (rank(replica), std::cmp::Reverse(replica.holder)));
    let (heir, lost) = match heir {
        Some(replica) if rank(replica) > 0 => (replica.holder, false),
        Some(_) | None => (otherwise, true),
    };
    activate(placement, heir, epoch);
    if lost {
        placement.lost = epoch;
    }
    lost
}

/// What replicas of a slice may do by what was reported.
#[derive(Clone, Copy, Debug)]
pub struct Permitted<Installed, Agreed> {
    /// Whether a joining one has everything.
    pub installed: Installed,
    /// Whether a standby has agreed with the active replica about lanes that were fenced.
    pub agreed: Agreed,
    /// Whether any may leave.
    pub leaving: bool,
}

/// Moves the replicas of a slice as far towards the target as they may go now. `room`: how many may begin to join.
pub fn climb(
    placement: &mut Placement,
    target: &Target,
    permitted: &Permitted<impl Fn(Address) -> bool, impl Fn(Address) -> bool>,
    epoch: Epoch,
    room: &mut usize,
) -> Moved {
    let mut moved = Moved::default();
    for replica in &mut placement.replicas {
        let is_ready = match replica.role {
            Role::Joining => (permitted.installed)(replica.holder),
            Role::Retiring => target.names(replica.holder) && target.active != replica.holder,
            Role::Standby | Role::Active => false,
        };
        if is_ready {
            replica.role = Role::Standby;
        }
    }
    if placement.active() != Some(target.active)
        && matches!(placement.role(target.active), Some(Role::Standby | Role::Retiring))
    {
        if (permitted.agreed)(target.active) {
            activate(placement, target.active, epoch);
        } else {
            moved.awaits_agreement = true;
        }
    }
    for wanted in target.replicas() {
        if placement.role(wanted).is_none() && *room > 0 {
            *room -= 1;
            moved.joined += 1;
            insert(placement, Replica { holder: wanted, role: Role::Joining });
        }
    }
    let has_all = target.replicas().all(|wanted| matches!(placement.role(wanted), Some(Role::Active | Role::Standby)));
    placement.replicas.retain(|replica| {
        // Who just retired waits for a barrier that is not even proposed; who is not needed for safety still waits for it.
        let goes =
            !target.names(replica.holder) && replica.role != Role::Active && (has_all || replica.role == Role::Joining);
        moved.awaits_barriers |= goes && !permitted.leaving;
        !(goes && permitted.leaving && !(replica.role == Role::Retiring && placement.term == Term(epoch.0)))
    });
    moved
}

/// Makes a machine the active replica; who was retires.
fn activate(placement: &mut Placement, heir: Address, epoch: Epoch) {
    for replica in &mut placement.replicas {
        if replica.role == Role::Active {
            replica.role = Role::Retiring;
        }
    }
    match placement.replicas.iter_mut().find(|replica| replica.holder == heir) {
        Some(replica) => replica.role = Role::Active,
        None => insert(placement, Replica { holder: heir, role: Role::Active }),
    }
    placement.term = Term(epoch.0);
}

/// In order of address.
pub fn insert(placement: &mut Placement, replica: Replica) {
    let at = placement.replicas.partition_point(|other| other.holder < replica.holder);
    placement.replicas.insert(at, replica);
}

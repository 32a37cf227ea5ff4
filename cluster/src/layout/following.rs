//! Which layout may follow which: the ladder of replicas and the life of lanes, as far as two layouts alone tell. What else must
//! have happened before (a snapshot is in, a barrier is written) is for those who propose and for those who act.

use std::collections::BTreeSet;

use super::{LaneEnd, LaneState, Layout, Placement, Role};
use crate::address::{Address, Incarnation, Layer};

/// Why a layout may not follow another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("layout {epoch} may not follow {before}: {why}")]
pub struct NotFollowing {
    before: u64,
    epoch: u64,
    why: String,
}

impl Layout {
    /// Whether this layout may follow `before`.
    ///
    /// # Errors
    /// Says what is wrong with the first thing that is.
    pub fn check_follows(&self, before: &Self) -> Result<(), NotFollowing> {
        self.why_not(before).map_err(|why| NotFollowing { before: before.epoch.0, epoch: self.epoch.0, why })
    }

    fn why_not(&self, before: &Self) -> Result<(), String> {
        ensure(self.epoch > before.epoch, || "its number is not higher".into())?;
        ensure(self.settings == before.settings, || "settings never change".into())?;
        ensure(self.lane_next >= before.lane_next, || "lane ids are never reused".into())?;
        let gone: BTreeSet<_> =
            before.members.keys().copied().filter(|node| !self.members.contains_key(node)).collect();
        let stranger = self.leaving.iter().find(|node| !self.members.contains_key(node));
        ensure(stranger.is_none(), || format!("{stranger:?} is to leave and is no member"))?;
        self.check_lanes(before, &gone)?;
        let steps = if self.epoch.0 == before.epoch.0 + 1 { Steps::One } else { Steps::Several };
        for (layer, ours, theirs) in
            [(Layer::Matcher, &self.matcher, &before.matcher), (Layer::ExitPoint, &self.session, &before.session)]
        {
            ensure(ours.len() == theirs.len(), || format!("the {layer} layer has another number of slices"))?;
            for (slice, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                let at = |why: String| format!("{layer} slice {slice}: {why}");
                self.check_holders(layer, ours).map_err(at)?;
                check_ladder(theirs, ours, &gone, steps).map_err(at)?;
            }
        }
        Ok(())
    }

    fn check_lanes(&self, before: &Self, gone: &BTreeSet<Incarnation>) -> Result<(), String> {
        // Proposals that were superseded lie between the two.
        let is_between = |epoch| epoch > before.epoch && epoch <= self.epoch;
        for (id, lane) in &self.lanes {
            ensure(self.names(lane.writer), || format!("nobody writes lane {id}"))?;
            match before.lanes.get(id) {
                None => {
                    let is_new = *id >= before.lane_next && *id < self.lane_next && is_between(lane.since);
                    ensure(is_new && lane.state == LaneState::Open, || format!("lane {id} is not new"))?;
                }
                Some(was) => {
                    let goes_on = lane.writer == was.writer && lane.since == was.since;
                    ensure(goes_on, || format!("lane {id} has another writer or beginning"))?;
                    let reopened = was.state == LaneState::Draining && lane.state == LaneState::Open;
                    ensure(!reopened, || format!("lane {id} drains already"))?;
                }
            }
        }
        for (id, was) in &before.lanes {
            if self.lanes.contains_key(id) {
                continue;
            }
            let fenced = gone.contains(&was.writer.node);
            match self.ended.get(id) {
                Some(&(LaneEnd::Fenced, at)) if fenced && is_between(at) => {}
                Some(&(LaneEnd::Closed, at)) if was.state == LaneState::Draining && is_between(at) => {}
                other => return Err(format!("lane {id} ended as {other:?}")),
            }
        }
        Ok(())
    }

    fn check_holders(&self, layer: Layer, placement: &Placement) -> Result<(), String> {
        let mut last: Option<Address> = None;
        for replica in &placement.replicas {
            let member = self.members.get(&replica.holder.node);
            let is_ours = member.is_some_and(|member| member.layer == layer && replica.holder.shard.0 < member.shards);
            ensure(is_ours, || format!("{} is no machine of the layer", replica.holder))?;
            ensure(last.is_none_or(|last| last < replica.holder), || "replicas are not in order of address".into())?;
            last = Some(replica.holder);
        }
        let actives = placement.replicas.iter().filter(|replica| replica.role == Role::Active).count();
        ensure(actives <= 1, || format!("{actives} replicas are active"))
    }
}

/// How many proposals lie between two layouts in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    /// None.
    One,
    /// Some that were superseded: replicas may have climbed more than a rung, and a slice may have been given away and back.
    Several,
}

/// Whether the replicas of a slice may climb so.
fn check_ladder(
    before: &Placement,
    after: &Placement,
    gone: &BTreeSet<Incarnation>,
    steps: Steps,
) -> Result<(), String> {
    let bereaved = before.active().is_none_or(|active| gone.contains(&active.node));
    let (was_active, is_active) = (before.active(), after.active());
    ensure(is_active.is_some() || bereaved, || "nobody decides any more".into())?;
    let raised = after.term > before.term;
    let must_rise = was_active != is_active && is_active.is_some();
    ensure(if must_rise { raised } else { !raised || steps == Steps::Several }, || {
        format!("term {} follows {}, active {is_active:?} follows {was_active:?}", after.term.0, before.term.0)
    })?;
    ensure(after.lost >= before.lost && (after.lost == before.lost || bereaved), || {
        format!("what was lost by layout {} follows what was by {}", after.lost.0, before.lost.0)
    })?;
    for replica in &after.replicas {
        let was = before.role(replica.holder);
        let may = match (was, replica.role) {
            (None, Role::Joining) => true,
            // Begins with nothing, because nobody is left who has anything.
            (None | Some(Role::Joining), Role::Active) => bereaved || was.is_some(),
            (Some(Role::Standby | Role::Retiring), Role::Active) => true,
            (Some(Role::Joining | Role::Retiring), Role::Standby) => true,
            (Some(Role::Active), Role::Retiring) => true,
            (Some(Role::Active), Role::Standby) | (Some(Role::Standby), Role::Retiring) => steps == Steps::Several,
            (Some(was), is) => was == is,
            (None, Role::Standby | Role::Retiring) => false,
        };
        ensure(may, || format!("{} becomes {:?} from {was:?}", replica.holder, replica.role))?;
    }
    for replica in &before.replicas {
        let stays = after.role(replica.holder).is_some() || gone.contains(&replica.holder.node);
        ensure(stays || replica.role != Role::Active, || format!("{} decides and leaves", replica.holder))?;
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

//! Copies of sessions for replicas that join: session by session, in parts, as far as credit goes and one part of each a step, while
//! everything goes on. What changes in a session before its turn is in its copy; what changes afterwards is told as it is decided.
//!
//! ```text
//!   wanted ──▶ waiting ──everything that the other one does not merge itself is merged here──▶ listing ──▶ (nothing)
//! ```

use std::collections::{BTreeSet, VecDeque};

use gomera_cluster::address::Address;
use gomera_cluster::credit::SendCredit;
use gomera_cluster::identity::{Instance, PublisherKey, Sequence, SessionKey};
use gomera_cluster::layout::SessionSlice;
use gomera_cluster::machine::Send;
use gomera_cluster::message::copies::{
    CopiedEntry, CopiesCredit, CopiesPart, CopiesWanted, CopyHead, Ending, SessionCopy,
};
use gomera_cluster::message::snapshot::{Extent, TransferId};
use gomera_cluster::message::{Message, ToExitPoint};
use gomera_cluster::position::Vector;

use super::Sessions;
use crate::replicas::Stance;
use crate::settled::{Known, Settled};

/// What one other replica asked for.
#[derive(Debug)]
pub(super) struct Copying {
    wanted: CopiesWanted,
    credit: SendCredit,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    Listing(Listing),
}

#[derive(Debug)]
struct Listing {
    settled: VecDeque<(PublisherKey, Instance, Sequence)>,
    forgetting: Vec<Ending>,
    /// Sessions whose turn is still to come.
    remaining: BTreeSet<SessionKey>,
    /// What is left of the one whose turn it is.
    rest: Option<(SessionKey, VecDeque<CopiedEntry>)>,
}

/// What a transfer does next.
enum Next {
    Part(CopiesPart),
    Nothing,
    GoneWrong,
}

impl Copying {
    pub(super) fn concerns(&self, slice: SessionSlice) -> bool {
        self.wanted.slices.contains(&slice)
    }
}

impl Sessions {
    /// Another replica joins slices.
    pub(crate) fn want_copies(&mut self, from: Address, wanted: CopiesWanted) {
        let mut credit = SendCredit::default();
        credit.grant(wanted.credit);
        self.copying.insert(from, Copying { wanted, credit, stage: Stage::Waiting });
    }

    /// More may be sent.
    pub(crate) fn grant_copies(&mut self, from: Address, granted: CopiesCredit) {
        if let Some(copying) = self.copying.get_mut(&from)
            && copying.wanted.transfer == granted.transfer
        {
            copying.credit.grant(granted.total);
        }
    }

    /// Whether a step would do something that no event announces.
    pub(super) fn is_copying(&self) -> bool {
        self.copying.values().any(|copying| matches!(copying.stage, Stage::Listing(_)) && copying.credit.is_open())
    }

    /// Sends a part of each. `has_merged` says whether everything up to a vector is merged here.
    pub(crate) fn copy(&mut self, has_merged: impl Fn(&Vector) -> bool, merged: &Vector, settled: &Settled) {
        for to in self.copying.keys().copied().collect::<Vec<_>>() {
            let mut copying = self.copying.remove(&to).expect("it was just there");
            let next = self.next_part(to, &mut copying, &has_merged, merged, settled);
            let goes_on = match &next {
                Next::Part(part) => part.extent == Extent::More,
                Next::Nothing => true,
                Next::GoneWrong => false,
            };
            if goes_on {
                self.copying.insert(to, copying);
            }
            if let Next::Part(part) = next {
                self.outgoing.push(Send { to, message: Message::ExitPoint(ToExitPoint::CopiesPart(part)) });
            }
        }
    }

    fn next_part(
        &mut self,
        to: Address,
        copying: &mut Copying,
        has_merged: &impl Fn(&Vector) -> bool,
        merged: &Vector,
        settled: &Settled,
    ) -> Next {
        let slices = &copying.wanted.slices;
        let stands = |slice: &SessionSlice| match self.replicas.stance(*slice) {
            Stance::Leading(_) => Some(true),
            Stance::Heir { .. } => Some(false),
            Stance::Absent | Stance::Waiting { .. } | Stance::Loading { .. } | Stance::Following(_) => None,
        };
        let Some(leads) = slices.iter().map(stands).collect::<Option<Vec<_>>>() else {
            // Who asked asks whoever decides now.
            return Next::GoneWrong;
        };
        if let Stage::Waiting = copying.stage {
            if leads.contains(&false) || !has_merged(&copying.wanted.after) {
                return Next::Nothing;
            }
            let slices = slices.clone();
            copying.stage = Stage::Listing(self.begin_listing(to, &slices, settled));
        }
        if !copying.credit.is_open() {
            return Next::Nothing;
        }
        let Stage::Listing(listing) = &mut copying.stage else { return Next::Nothing };
        let part = self.part(copying.wanted.transfer, listing, merged);
        copying.credit.spend(part.cost());
        Next::Part(part)
    }

    fn begin_listing(&mut self, to: Address, slices: &[SessionSlice], settled: &Settled) -> Listing {
        let mut known = Known::new();
        self.inherited.values().for_each(|inherited| inherited.list(slices, &mut known));
        settled.list(&mut known);
        for &slice in slices {
            self.followers.entry(slice).or_default().insert(to);
        }
        Listing {
            settled: known
                .into_iter()
                .map(|((publisher, instance), sequence)| (publisher, instance, sequence))
                .collect(),
            forgetting: slices.iter().flat_map(|&slice| self.list_endings(slice)).collect(),
            remaining: slices
                .iter()
                .flat_map(|&slice| self.sessions_of(slice))
                .map(|id| self.table[id.0].key)
                .collect(),
            rest: None,
        }
    }

    fn part(&self, transfer: TransferId, listing: &mut Listing, merged: &Vector) -> CopiesPart {
        /// Publisher instances in one part.
        const SETTLED_MAX: usize = 4096;
        let many = listing.settled.len().min(SETTLED_MAX);
        let mut part = CopiesPart {
            transfer,
            settled: listing.settled.drain(..many).collect(),
            forgetting: std::mem::take(&mut listing.forgetting),
            sessions: Vec::new(),
            extent: Extent::More,
        };
        let mut room = self.config.frame_content_bytes_max.saturating_sub(part.cost());
        while listing.settled.is_empty() {
            let (session, head, mut rest) = match listing.rest.take() {
                Some((session, rest)) => (session, None, rest),
                None => match listing.remaining.pop_first() {
                    Some(session) => {
                        let Some((head, entries)) = self.copied(session, merged) else { continue };
                        (session, Some(Box::new(head)), entries)
                    }
                    None => {
                        part.extent = Extent::Last;
                        break;
                    }
                },
            };
            let mut entries = Vec::new();
            while let Some(entry) = rest.pop_front() {
                room = room.saturating_sub(entry.cost());
                entries.push(entry);
                if room == 0 {
                    break;
                }
            }
            let extent = if rest.is_empty() { Extent::Last } else { Extent::More };
            if extent == Extent::More {
                listing.rest = Some((session, rest));
            }
            let copy = SessionCopy { session, head, entries, extent };
            room = room.saturating_sub(256);
            part.sessions.push(copy);
            if room == 0 {
                break;
            }
        }
        part
    }

    /// A session as it is now.
    fn copied(&self, session: SessionKey, merged: &Vector) -> Option<(CopyHead, VecDeque<CopiedEntry>)> {
        let session = &self.table[self.by_key.get(&session)?.0];
        let record = session.record(self.accounts.name(session.tenant).clone(), merged);
        let entry = |entry: &crate::outbox::Entry| CopiedEntry {
            position: entry.position,
            envelope: entry.envelope.clone(),
            satisfied: entry.satisfied.clone(),
        };
        let entries = session.outbox.iter().map(entry).collect();
        Some((CopyHead { record, given_up: session.given_up.all() }, entries))
    }
}

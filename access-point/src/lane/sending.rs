//! What a lane sends of what is written in it: entries to matchers, as far as their credit goes, and acknowledgements to connection points.
//!
//! Entries say how far all exit points have merged the lane: matchers keep what lies beyond. When nothing follows for a while, that is said
//! by itself, in a frame without entries.

use std::collections::BTreeMap;
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_cluster::credit::Class;
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::connection_point::{Acknowledged, AcknowledgedThrough, ToConnectionPoint};
use gomera_cluster::message::matcher::{Entries, ToMatcher};
use gomera_cluster::time::Instant;

use super::{Lane, Output};
use crate::log::RunLimit;

/// How long matchers may keep what all exit points have merged, when no entries follow that say so. Each time a lane falls silent costs
/// each matcher one frame.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// How many publications a matcher that is not sent them may not have heard of: nobody waits for it, and each frame costs both sides as much
/// as several publications.
const UNTOLD_MAX: u64 = 256;

/// Whether something has to be said of what is merged that no entries say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    /// Everything is said, or entries may follow.
    WithEntries(Instant),
    /// None have followed since then.
    Alone(Instant),
}

impl Lane {
    /// Something was merged.
    pub(super) fn say_merged(&mut self, now: Instant) {
        if self.readers.know_merged(self.log.trimmed()) {
            self.saying = Saying::WithEntries(now + SAID_WITHIN);
        }
    }

    /// When what is merged has to be said, whether or not entries follow.
    pub(super) fn next_saying(&self) -> Option<Instant> {
        match self.saying {
            Saying::WithEntries(until) if !self.readers.know_merged(self.log.trimmed()) => Some(until),
            Saying::WithEntries(_) | Saying::Alone(_) => None,
        }
    }

    pub(super) fn send_entries(&mut self, output: &mut Output) {
        let (last, trimmed) = (self.log.last(), self.log.trimmed());
        let entries = usize::try_from(self.config.frame_entries_max).expect("32 bits fit a usize");
        let is_silent = matches!(self.saying, Saying::Alone(_));
        for (to, reader) in self.readers.iter_mut() {
            while reader.credit.is_open() && (reader.sent < last || (is_silent && reader.told_merged < trimmed)) {
                let limit = RunLimit { entries, bytes: self.config.frame_bytes_max.min(reader.credit.left()) };
                let run = self.log.run(reader.sent, to, limit, |number| reader.sees(number));
                reader.pass(run.to);
                let is_of_use = !run.entries.is_empty() || reader.sees(run.to) || is_silent;
                if !is_of_use && run.to.0 - reader.told.0 < UNTOLD_MAX {
                    continue;
                }
                let (class, from, merged) = (Class::Live, reader.told, Some(trimmed));
                let frame = Entries { lane: self.id, class, from, to: run.to, entries: run.entries, merged };
                reader.told = frame.to;
                reader.told_merged = trimmed;
                reader.credit.spend(frame.cost());
                output.statistics.frames += 1;
                output.actions.push(Send { to, message: Message::Matcher(ToMatcher::Entries(frame)) });
            }
        }
        // Said, for this time: who is sent no publications may always be behind with it.
        if let Saying::Alone(since) = self.saying
            && self.readers.know_merged(trimmed)
        {
            self.saying = Saying::WithEntries(since + SAID_WITHIN);
        }
        let limit = RunLimit { entries, bytes: self.config.frame_bytes_max };
        output.statistics.replays += self.replays.send(self.id, &self.log, limit, &mut output.actions);
    }

    pub(super) fn send_acknowledgements(&mut self, output: &mut Output) {
        let mut by_connection_point: BTreeMap<Address, Vec<AcknowledgedThrough>> = BTreeMap::new();
        for (to, through) in self.publishers.acknowledgements() {
            by_connection_point.entry(to).or_default().push(through);
        }
        for (to, through) in by_connection_point {
            if self.sources.serves(to) {
                output.tell(to, ToConnectionPoint::Acknowledged(Acknowledged { lane: self.id, through }));
            }
        }
    }
}

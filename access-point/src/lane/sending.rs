//! What a lane sends of what is written in it: entries to matchers, as far as their credit goes, and acknowledgements to connection points.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::credit::Class;
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::connection_point::{Acknowledged, AcknowledgedThrough, ToConnectionPoint};
use gomera_cluster::message::matcher::{Entries, ToMatcher};

use super::{Lane, Output};
use crate::log::RunLimit;

impl Lane {
    pub(super) fn send_entries(&mut self, output: &mut Output) {
        let last = self.log.last();
        let entries = usize::try_from(self.config.frame_entries_max).expect("32 bits fit a usize");
        for (to, reader) in self.readers.iter_mut() {
            while reader.sent < last && reader.credit.is_open() {
                let limit = RunLimit { entries, bytes: self.config.frame_bytes_max.min(reader.credit.left()) };
                let from = reader.sent;
                let run = self.log.run(from, to, limit);
                let frame = Entries { lane: self.id, class: Class::Live, from, to: run.to, entries: run.entries };
                reader.sent = frame.to;
                reader.credit.spend(frame.cost());
                output.statistics.frames += 1;
                output.actions.push(Send { to, message: Message::Matcher(ToMatcher::Entries(frame)) });
            }
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

//! Whether each publisher's publications came in the order in which they were published, to each process of a session.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::time::Instant;

use super::{JudgedLife, moment};
use crate::history::PublicationIndex;
use crate::verdict::{Promise, Violation};

impl JudgedLife<'_> {
    pub(super) fn order(&self) -> Result<(), Violation> {
        let mut by_line: BTreeMap<(u32, usize), (u64, PublicationIndex)> = BTreeMap::new();
        let mut by_publisher: BTreeMap<(u32, &Arc<str>), (Instant, PublicationIndex)> = BTreeMap::new();
        for reception in &self.life.receptions {
            let index = reception.publication;
            let publication = &self.history.publications[index.0];
            // Within one stream of publications: strictly in order.
            let line = by_line.entry((reception.process, publication.line)).or_insert((0, index));
            if publication.ordinal <= line.0 {
                let what = format!(
                    "{} received {} at {} after {}, which {} published later",
                    self.name(),
                    index.name(),
                    moment(reception.at),
                    line.1.name(),
                    publication.publisher
                );
                return Err(self.violation(Promise::Order, Some(index), what));
            }
            *line = (publication.ordinal, index);
            // Across instances and connections: what was acknowledged before something else was sent comes before it.
            let latest =
                by_publisher.entry((reception.process, &publication.publisher)).or_insert((publication.sent, index));
            if publication.acknowledged.is_some_and(|at| at < latest.0) {
                let what = format!(
                    "{} received {} at {} after {}, which {} sent when the former was acknowledged already",
                    self.name(),
                    index.name(),
                    moment(reception.at),
                    latest.1.name(),
                    publication.publisher
                );
                return Err(self.violation(Promise::Order, Some(index), what));
            }
            if publication.sent > latest.0 {
                *latest = (publication.sent, index);
            }
        }
        Ok(())
    }
}

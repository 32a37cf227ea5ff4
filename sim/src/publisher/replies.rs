//! What a publisher makes of what it is told, and what it holds against it.

use gomera_cluster::identity::Sequence;
use gomera_connection_point::client::{ClientReply, FailureKind};

use super::{Link, Publisher};
use crate::doors::{ConnectionIndex, Downward};
use crate::stage::{Phase, Stage};
use crate::tally::Transition;
use crate::verdict::Promise;

impl Publisher {
    /// Something arrives.
    pub fn receive(&mut self, stage: &mut Stage, connection: ConnectionIndex, downward: Downward) {
        if self.connection() != Some(connection) {
            return;
        }
        match downward {
            Downward::Reply(reply) => self.reply(stage, connection, reply),
            Downward::Closed(reason) => {
                if reason.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Exhausted) {
                    stage.count(Transition::PublishersRefused);
                }
                if reason.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Aborted) {
                    stage.count(Transition::SupersededByItself);
                }
                self.away(stage);
            }
            Downward::Lost => {
                stage.count(Transition::ConnectionLost);
                if !self.plan.with_instance && !self.unacknowledged.is_empty() {
                    stage.count(Transition::LostWithoutInstance);
                }
                self.bereaved = true;
                self.away(stage);
            }
        }
    }

    fn reply(&mut self, stage: &mut Stage, connection: ConnectionIndex, reply: ClientReply) {
        match reply {
            ClientReply::PublisherOpened { sequenced, acknowledged } => {
                self.opened(stage, connection, sequenced, acknowledged);
            }
            ClientReply::Acknowledged { through } => self.acknowledge(stage, through),
            ClientReply::PublicationRefused { sequence, failure } => self.refused(stage, sequence.0, failure.kind),
            ClientReply::MoveTo { .. } => self.move_elsewhere(stage, connection),
            other @ (ClientReply::Attached { .. }
            | ClientReply::SubscriptionsLost { .. }
            | ClientReply::Applied { .. }
            | ClientReply::Found { .. }
            | ClientReply::Failed { .. }
            | ClientReply::Notifications(_)) => {
                let what = format!("publisher {} was told {other:?}", self.plan.name);
                stage.violate(Promise::Surface, vec![self.plan.name.to_string()], what);
            }
        }
    }

    /// Its connection point is to leave. It reads no more there, opens elsewhere, and sends again what is unacknowledged; without an
    /// instance it stays as long as it may.
    fn move_elsewhere(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        if !self.plan.with_instance || stage.phase == Phase::Leaving || self.random.chance(stage.stubborn) {
            return stage.count(Transition::MoveDeclined);
        }
        stage.note(|| format!("{} moves away from connection {}", self.plan.name, connection.id().0));
        stage.doors.set_reading(stage.now, connection, false, &mut stage.agenda);
        if let Some(former) = self.former.replace(connection) {
            stage.leave(former);
        }
        self.open(stage);
    }

    fn opened(&mut self, stage: &mut Stage, connection: ConnectionIndex, sequenced: Sequence, acknowledged: Sequence) {
        if matches!(self.link, Link::Open(_)) {
            let what = format!("publisher {} was opened twice on one connection", self.plan.name);
            stage.violate(Promise::Surface, vec![self.plan.name.to_string()], what);
        }
        self.link = Link::Open(connection);
        if let Some(former) = self.former.take() {
            stage.count(Transition::PublisherMoved);
            stage.leave(former);
        }
        let resumed = self.plan.with_instance && self.sequence > 0;
        stage.count(if resumed { Transition::PublisherResumed } else { Transition::PublisherOpened });
        if acknowledged > sequenced || sequenced.0 > self.sequence {
            let what = format!(
                "publisher {} was told that {} is sequenced and {} acknowledged; it has published up to {}",
                self.plan.name, sequenced.0, acknowledged.0, self.sequence
            );
            stage.violate(Promise::Surface, vec![self.plan.name.to_string()], what);
        }
        self.acknowledge(stage, acknowledged);
        if !self.plan.eager {
            self.resend(stage, connection);
        }
    }

    fn acknowledge(&mut self, stage: &mut Stage, through: Sequence) {
        if through.0 > self.sequence {
            let what = format!(
                "publisher {} got an acknowledgement up to {} and has published up to {}",
                self.plan.name, through.0, self.sequence
            );
            stage.violate(Promise::Surface, vec![self.plan.name.to_string()], what);
        }
        self.acknowledged = self.acknowledged.max(through.0);
        let mut any = false;
        while let Some(outgoing) = self.unacknowledged.front()
            && outgoing.sequence <= through.0
        {
            let publication = stage.history.publication(outgoing.publication);
            publication.acknowledged = Some(stage.now);
            any = true;
            self.unacknowledged.pop_front();
        }
        if any {
            stage.nudge_subscriber();
        }
    }

    fn refused(&mut self, stage: &mut Stage, sequence: u64, kind: FailureKind) {
        if kind == FailureKind::AlreadyExists {
            if let Some(at) = self.impostors.iter().position(|impostor| impostor.sequence == sequence) {
                let impostor = self.impostors.remove(at);
                stage.history.publication(impostor.publication).refused = Some(kind);
                stage.count(Transition::SequenceReused);
            } else {
                let what = format!(
                    "publisher {} was told that sequence {sequence} was used for other content; it was not",
                    self.plan.name
                );
                stage.violate(Promise::Surface, vec![self.plan.name.to_string()], what);
            }
            return;
        }
        self.recent.retain(|outgoing| outgoing.sequence != sequence);
        let known = self.unacknowledged.iter().any(|outgoing| outgoing.sequence == sequence);
        match kind {
            FailureKind::OutOfRange => stage.count(Transition::OutOfRange),
            FailureKind::Unavailable => {}
            // A repeat of what was refused already.
            FailureKind::Invalid if !known => {}
            FailureKind::Exhausted
            | FailureKind::Invalid
            | FailureKind::Precondition
            | FailureKind::NotFound
            | FailureKind::AlreadyExists
            | FailureKind::Aborted
            | FailureKind::Unimplemented => {
                let what = format!("publisher {} was refused sequence {sequence}: {kind:?}", self.plan.name);
                stage.violate(Promise::Surface, vec![self.plan.name.to_string()], what);
            }
        }
        if let Some(at) = self.unacknowledged.iter().position(|outgoing| outgoing.sequence == sequence) {
            let outgoing = self.unacknowledged.remove(at).expect("just found");
            stage.history.publication(outgoing.publication).refused = Some(kind);
        }
    }
}

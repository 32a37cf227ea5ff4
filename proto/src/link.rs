//! Frames between nodes: the one place where messages of `cluster` become bytes and come back.
//!
//! A batch is many frames of one node to one other. What frames share (tenants, publishers, publications) stands in tables
//! once a batch. The content of a publication is copied once into a batch and never out of it: decoded publications share
//! the bytes of the batch. Filters travel as text and are parsed anew: they passed the caps at the edge of the cluster.

mod access_point;
mod columns;
mod connection_point;
mod copies;
mod exit_point;
mod matcher;
mod notifications;
mod operation;
mod parts;
mod satisfaction;
mod snapshot;
mod tables;

use bytes::Bytes;
use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::{Frame, Message};
use prost::Message as _;

pub use tables::{Decoder, Encoder};

/// `gomera.link.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/link/gomera.link.v1.rs"));
}

/// The versions of the link protocol spoken here, lowest and highest.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 1..=1;

/// A batch that does not decode: the sender speaks another language, or there is a mistake in this file's neighbours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch does not decode: {place} {reason}")]
pub struct LinkError {
    place: &'static str,
    reason: String,
}

impl LinkError {
    fn new(place: &'static str, reason: impl Into<String>) -> Self {
        Self { place, reason: reason.into() }
    }

    fn missing(place: &'static str) -> Self {
        Self::new(place, "is missing")
    }
}

/// Two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who sends.
    pub from: Incarnation,
    /// Who receives.
    pub to: Incarnation,
}

impl Encoder {
    /// Encodes frames that all go from one node to one other.
    #[must_use]
    pub fn encode(&mut self, frames: &[Frame]) -> Bytes {
        let wire = frames.iter().map(|frame| encode_frame(self, frame)).collect();
        self.finish(wire)
    }
}

impl Decoder {
    /// Decodes what [`Encoder::encode`] made. At a matcher, publications get their attributes.
    pub fn decode(&mut self, batch: Bytes, ends: Ends) -> Result<Vec<Frame>, LinkError> {
        let batch = v1::Batch::decode(batch).map_err(|error| LinkError::new("batch", error.to_string()))?;
        let frames = batch.frames;
        self.fill(batch.tenants, batch.publishers, batch.envelopes.unwrap_or_default(), batch.contents)?;
        let frames = frames.into_iter().map(|frame| self.frame(frame, ends)).collect();
        self.release();
        frames
    }

    fn frame(&self, frame: v1::Frame, ends: Ends) -> Result<Frame, LinkError> {
        let address = |node, shard| {
            let shard = u16::try_from(shard).map_err(|_| LinkError::new("shard", "is above 65535"))?;
            Ok(Address { node, shard: Shard(shard) })
        };
        Ok(Frame {
            from: address(ends.from, frame.from_shard)?,
            to: address(ends.to, frame.to_shard)?,
            epoch: Epoch(frame.epoch),
            message: self.message(frame.message.ok_or_else(|| LinkError::missing("message"))?)?,
        })
    }

    fn message(&self, message: v1::frame::Message) -> Result<Message, LinkError> {
        use v1::frame::Message as Wire;
        Ok(match message {
            Wire::Layout(json) => Message::Layout(parts::layout(&json)?),
            Wire::LayoutWanted(epoch) => Message::LayoutWanted(Epoch(epoch)),
            Wire::OpenPublisher(_)
            | Wire::Publish(_)
            | Wire::Operate(_)
            | Wire::Progress(_)
            | Wire::EntriesCredit(_)
            | Wire::Merged(_)
            | Wire::LeaveLane(_)
            | Wire::SettleSession(_)
            | Wire::Forget(_)
            | Wire::Expire(_) => Message::AccessPoint(access_point::decode(self, message)?),
            Wire::PublisherOpened(_)
            | Wire::PublisherSuperseded(_)
            | Wire::Acknowledged(_)
            | Wire::Refused(_)
            | Wire::Completed(_)
            | Wire::SessionSettled(_)
            | Wire::LaneCredit(_)
            | Wire::Attached(_)
            | Wire::AttachRefused(_)
            | Wire::Notifications(_)
            | Wire::AttachTerm(_)
            | Wire::Ended(_) => Message::ConnectionPoint(connection_point::decode(self, message)?),
            Wire::Entries(_)
            | Wire::Replay(_)
            | Wire::MatchesCredit(_)
            | Wire::LaneDone(_)
            | Wire::LaneSettled(_)
            | Wire::LaneTail(_)
            | Wire::SnapshotWanted(_)
            | Wire::SnapshotPart(_)
            | Wire::SnapshotCredit(_) => Message::Matcher(matcher::decode(self, message)?),
            Wire::Matches(_)
            | Wire::LaneCut(_)
            | Wire::Attach(_)
            | Wire::Detach(_)
            | Wire::Acknowledge(_)
            | Wire::SessionCredit(_)
            | Wire::EndSession(_)
            | Wire::LaneBegins(_)
            | Wire::CopiesWanted(_)
            | Wire::CopiesPart(_)
            | Wire::CopiesCredit(_)
            | Wire::Changes(_)
            | Wire::ChangesTaken(_)
            | Wire::HandoverWanted(_)
            | Wire::HandedOver(_)
            | Wire::TermAttached(_)
            | Wire::Forgotten(_) => Message::ExitPoint(exit_point::decode(self, message)?),
        })
    }
}

fn encode_frame(encoder: &mut Encoder, frame: &Frame) -> v1::Frame {
    let message = match &frame.message {
        Message::ConnectionPoint(message) => connection_point::encode(encoder, message),
        Message::AccessPoint(message) => access_point::encode(encoder, message),
        Message::Matcher(message) => matcher::encode(encoder, message),
        Message::ExitPoint(message) => exit_point::encode(encoder, message),
        Message::Layout(layout) => v1::frame::Message::Layout(parts::to_layout(layout)),
        Message::LayoutWanted(epoch) => v1::frame::Message::LayoutWanted(epoch.0),
    };
    v1::Frame {
        from_shard: u32::from(frame.from.shard.0),
        to_shard: u32::from(frame.to.shard.0),
        epoch: frame.epoch.0,
        message: Some(message),
    }
}

/// Whether publications need their attributes at a node of this layer.
fn needs_attributes(layer: Layer) -> bool {
    match layer {
        Layer::Matcher => true,
        Layer::ConnectionPoint | Layer::AccessPoint | Layer::ExitPoint => false,
    }
}

#[cfg(test)]
mod tests;

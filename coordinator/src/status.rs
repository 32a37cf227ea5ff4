//! Where the coordinator stands and what it waits for, for people and for programs.

use std::fmt;
use std::sync::Arc;

use gomera_cluster::address::Layer;
use gomera_cluster::identity::Term;
use gomera_cluster::layout::Epoch;
use serde::{Deserialize, Serialize};

/// More names than this are counted, not listed.
const NAMES_MAX: usize = 5;

/// How one coordinator stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Status {
    /// Another one leads, or nobody yet.
    #[default]
    Following,
    /// This one leads.
    Leading {
        /// Its reign.
        term: Term,
        /// What it is at.
        phase: Phase,
    },
}

/// What a leader is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Phase {
    /// Nodes are missing for a first layout.
    Gathering {
        /// Every layer, the complete ones too.
        layers: Vec<LayerCount>,
    },
    /// Nobody whom the layout names is registered; if that lasts, a fresh layout is made.
    Expiring {
        /// That layout.
        epoch: Epoch,
        /// How many it names.
        members: usize,
    },
    /// A proposal is being written.
    Proposing {
        /// Its epoch.
        epoch: Epoch,
    },
    /// A proposal is out and not everybody has it.
    Acknowledging {
        /// Its epoch.
        epoch: Epoch,
        /// Who has not acknowledged.
        silent: Vec<Arc<str>>,
    },
    /// Everybody has the proposal; the commit is being written.
    Committing {
        /// Its epoch.
        epoch: Epoch,
    },
    /// A layout is in force.
    Governing {
        /// Its epoch.
        epoch: Epoch,
        /// Nodes it names that are not registered.
        vanished: Vec<Arc<str>>,
        /// Nodes registered that it does not name.
        idle: Vec<Arc<str>>,
    },
}

/// How many nodes a layer has, of those it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCount {
    /// The layer.
    pub layer: Layer,
    /// Nodes registered and up.
    pub registered: usize,
    /// Nodes wanted.
    pub wanted: usize,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Following => f.write_str("following"),
            Self::Leading { term, phase } => write!(f, "leading in term {}: {phase}", term.0),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gathering { layers } => {
                f.write_str("waiting for ")?;
                let missing = layers.iter().filter(|count| count.registered < count.wanted);
                for (index, count) in missing.enumerate() {
                    let joint = if index == 0 { "" } else { ", " };
                    let missing = count.wanted.saturating_sub(count.registered);
                    write!(f, "{joint}{missing} of {} {}", count.wanted, plural(count.layer, count.wanted))?;
                }
                Ok(())
            }
            Self::Expiring { epoch, members } => {
                write!(
                    f,
                    "none of the {members} nodes of layout {} is registered; waiting whether one returns",
                    epoch.0
                )
            }
            Self::Proposing { epoch } => write!(f, "proposing layout {}", epoch.0),
            Self::Acknowledging { epoch, silent } => {
                write!(f, "waiting for {} to acknowledge layout {}", Names(silent), epoch.0)
            }
            Self::Committing { epoch } => write!(f, "committing layout {}", epoch.0),
            Self::Governing { epoch, vanished, idle } => {
                write!(f, "layout {} is in force", epoch.0)?;
                if !vanished.is_empty() {
                    write!(f, "; vanished: {}", Names(vanished))?;
                }
                if !idle.is_empty() {
                    write!(f, "; idle: {}", Names(idle))?;
                }
                Ok(())
            }
        }
    }
}

/// A layer's nodes in words.
pub(crate) const fn plural(layer: Layer, count: usize) -> &'static str {
    match (layer, count) {
        (Layer::ConnectionPoint, 1) => "connection point",
        (Layer::ConnectionPoint, _) => "connection points",
        (Layer::AccessPoint, 1) => "access point",
        (Layer::AccessPoint, _) => "access points",
        (Layer::Matcher, 1) => "matcher",
        (Layer::Matcher, _) => "matchers",
        (Layer::ExitPoint, 1) => "exit point",
        (Layer::ExitPoint, _) => "exit points",
    }
}

struct Names<'a>(&'a [Arc<str>]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..self.0.len().min(NAMES_MAX)].join(", "))?;
        match self.0.len().saturating_sub(NAMES_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_why_it_waits() {
        let layers = vec![
            LayerCount { layer: Layer::ConnectionPoint, registered: 0, wanted: 1 },
            LayerCount { layer: Layer::AccessPoint, registered: 2, wanted: 2 },
            LayerCount { layer: Layer::Matcher, registered: 2, wanted: 3 },
        ];
        let status = Status::Leading { term: Term(4), phase: Phase::Gathering { layers } };
        assert_eq!(status.to_string(), "leading in term 4: waiting for 1 of 1 connection point, 1 of 3 matchers");
        let json = serde_json::to_string(&status).expect("serialises");
        assert!(
            json.starts_with(r#"{"standing":"leading","term":4,"phase":{"name":"gathering","layers":[{"layer":"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Status>(&json).expect("reads"), status);
    }

    #[test]
    fn many_names_are_counted() {
        let names = (1..=7).map(|index| Arc::from(format!("m{index}"))).collect();
        let phase = Phase::Governing { epoch: Epoch(2), vanished: names, idle: vec![Arc::from("m8")] };
        assert_eq!(phase.to_string(), "layout 2 is in force; vanished: m1, m2, m3, m4, m5 and 2 more; idle: m8");
    }
}

//! Claims of the whole shard, by what it is asked.

mod forget;
mod lanes;
mod limits;
mod oracle;
mod replicas;
mod sessions;

use gomera_cluster::layout::Epoch;
use gomera_cluster::message::exit_point::{Forgotten, Handles, Target};

use super::*;
use crate::testing::*;

//! Whether a client is read from: not while any reason against it stands. The client hears of the first reason and of the end
//! of the last, of none between.

use gomera_cluster::identity::ConnectionId;

use crate::output::Output;
use crate::statistics::Statistics;

/// Why nothing more is read from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its publications fill its window.
    Window,
    /// It published as fast as it may.
    Rate,
    /// All publications together fill what there is for them.
    Room,
    /// It has as many operations outstanding as it may.
    Operations,
}

impl Reason {
    const fn bit(self) -> u8 {
        match self {
            Self::Window => 1,
            Self::Rate => 2,
            Self::Room => 4,
            Self::Operations => 8,
        }
    }
}

/// The reasons that stand against reading from one client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Brake {
    reasons: u8,
}

impl Brake {
    /// A reason stands from now on.
    pub fn press(
        &mut self,
        reason: Reason,
        connection: ConnectionId,
        output: &mut Output,
        statistics: &mut Statistics,
    ) {
        if self.reasons == 0 {
            statistics.pauses += 1;
            output.pause(connection);
        }
        self.reasons |= reason.bit();
    }

    /// A reason stands no longer.
    pub fn release(&mut self, reason: Reason, connection: ConnectionId, output: &mut Output) {
        if self.is_pressed_by(reason) {
            self.reasons &= !reason.bit();
            if self.reasons == 0 {
                output.resume(connection);
            }
        }
    }

    /// Whether this reason stands.
    pub fn is_pressed_by(self, reason: Reason) -> bool {
        self.reasons & reason.bit() != 0
    }
}

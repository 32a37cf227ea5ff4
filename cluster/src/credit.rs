//! Credit: how a receiver bounds what a sender may have under way, per (link, lane, class). Both sides count what has ever
//! been sent; the receiver grants by raising a total, so that a lost or repeated grant is harmless: the latest wins.
//!
//! Invariant: a sender never starts to send while `sent >= granted`; it may overdraw by the frame it starts with credit left.
//! So every window of at least 1 makes progress, and what is under way is below window + one frame.

/// What a frame is for; each class has credit of its own, so that none waits behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// New publications.
    Live,
    /// Retained entries sent again after a take-over.
    Replay,
    /// Operations.
    Operation,
    /// Barriers, closes: what the protocol itself needs.
    Control,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Live, Self::Replay, Self::Operation, Self::Control];
}

/// A cumulative amount of cost (bytes, see `cost` of what is sent) since the link began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Total(pub u64);

/// The sender's side.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendCredit {
    sent: u64,
    granted: u64,
}

impl SendCredit {
    /// Takes a grant in; a lower one than known changes nothing.
    pub fn grant(&mut self, total: Total) {
        self.granted = self.granted.max(total.0);
    }

    /// Whether something may be sent now.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.sent < self.granted
    }

    /// What may be sent now; the last thing may exceed it.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.granted.saturating_sub(self.sent)
    }

    /// Counts something sent.
    pub fn spend(&mut self, cost: u64) {
        self.sent = self.sent.saturating_add(cost);
    }
}

/// The receiver's side: grants as it consumes, and only when half a window can be granted at once.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveCredit {
    window: u64,
    consumed: u64,
    granted: u64,
}

impl ReceiveCredit {
    /// A receiver that lets `window` be under way. Nothing is granted until the first [`ReceiveCredit::grant`].
    ///
    /// # Panics
    /// If the window is 0: nothing could ever be sent.
    #[must_use]
    pub fn new(window: u64) -> Self {
        assert!(window > 0, "a credit window is at least 1");
        Self { window, consumed: 0, granted: 0 }
    }

    /// Counts something that was received and no longer takes room.
    pub fn consume(&mut self, cost: u64) {
        self.consumed = self.consumed.saturating_add(cost);
    }

    /// The total to grant now, if it is worth a message.
    pub fn grant(&mut self) -> Option<Total> {
        if !self.is_due() {
            return None;
        }
        self.granted = self.target();
        Some(Total(self.granted))
    }

    /// Whether a grant is worth a message now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.granted == 0 || self.target().saturating_sub(self.granted) >= self.window.div_ceil(2)
    }

    const fn target(&self) -> u64 {
        self.consumed.saturating_add(self.window)
    }

    /// What a sender may still send before it needs another grant, were everything consumed.
    #[must_use]
    pub const fn granted(&self) -> Total {
        Total(self.granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_one_passes_one_frame_at_a_time() {
        let mut sender = SendCredit::default();
        let mut receiver = ReceiveCredit::new(1);
        assert!(!sender.is_open(), "nothing is granted before the receiver speaks");
        for _ in 0..5 {
            sender.grant(receiver.grant().expect("consumed or first"));
            assert!(sender.is_open());
            sender.spend(100);
            assert!(!sender.is_open());
            assert_eq!(receiver.grant(), None, "nothing consumed, nothing granted");
            receiver.consume(100);
        }
    }

    #[test]
    fn an_old_grant_changes_nothing() {
        let mut sender = SendCredit::default();
        sender.grant(Total(10));
        sender.grant(Total(3));
        assert_eq!(sender.left(), 10);
    }

    #[test]
    fn grants_are_coalesced_to_half_a_window() {
        let mut receiver = ReceiveCredit::new(100);
        assert_eq!(receiver.grant(), Some(Total(100)));
        receiver.consume(49);
        assert_eq!(receiver.grant(), None);
        receiver.consume(1);
        assert_eq!(receiver.grant(), Some(Total(150)));
    }
}

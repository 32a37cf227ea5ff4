//! The ten rules of `DESIGN.md` section 4, and whether each holds. In the product all do, by a constant: [`holds`] is no question there.
//! With the feature `switchable-rules`, which the simulator alone asks for, one can be left out, so that the swarm shows what
//! breaks without it. Machines ask at the one place where they keep a rule, and do without it what is next at hand.
//!
//! The switch belongs to a thread, because a run of the simulator is one thread: no machine has to carry it, and none can change it.

/// A rule, by its number in `DESIGN.md` section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// 1: «Members refuse removed senders and fenced lanes from the *proposal* on.» Without it whoever was declared
    /// dead and lives goes on being heard and answered.
    RemovedAreRefused = 1,
    /// 2: «An access point keeps the highest sequence per publisher instance and lane, and drops or re-acknowledges repeats»; across lanes
    /// exit points do (decision 8). Without it what is handed in twice is delivered twice.
    RepeatsArePassedOver = 2,
    /// 3: «Acknowledgements name their lane and count only for the copy sent last.» Without it a publication is acknowledged while its
    /// second copy is still to be judged, by subscriptions made since.
    AcknowledgedByTheLastLane = 3,
    /// 4: «Publications carry the publisher's generation, session operations the session's; the highest is answered.» Without it two
    /// attachments of one client are served at the same time.
    NewestAttachmentCounts = 4,
    /// 5: «`W` is the exit point's *merged vector* at the moment the notification was merged.» Without it a client resumes behind, or
    /// ahead of, what it was sent.
    VectorOfTheMerge = 5,
    /// 6: «A session attach carries epoch and the term its connection point knows»; it is accepted only by who «is active in exactly that
    /// term». Without it clients attach where nothing is decided, or under a reign that is over.
    AttachedInItsTerm = 6,
    /// 7: «A node that becomes a member at e regards lanes fenced or closed at or before e as ended.» Without it newcomers wait for the end
    /// of lanes of which nobody tells them.
    EndedBeforeOneCame = 7,
    /// 8: «After a fence, the active replica of a session slice decides where the lane was cut for that slice.» Without it replicas of a
    /// slice disagree about what stood at the end of the lane.
    LeaderDecidesTheCut = 8,
    /// 9: «A connection point serves clients only from the commit of the layout that names it.» Without it clients are at a
    /// connection point that nobody else knows of.
    ServedFromTheCommit = 9,
    /// 10: «A live replica leaves a slice only in a layout proposed after every open lane has written the barrier of the layout that ended
    /// its activity.» Without it a lane that is late is judged by an owner that gets no operations any more.
    LeavesAfterTheBarriers = 10,
}

impl Rule {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::RemovedAreRefused,
        Self::RepeatsArePassedOver,
        Self::AcknowledgedByTheLastLane,
        Self::NewestAttachmentCounts,
        Self::VectorOfTheMerge,
        Self::AttachedInItsTerm,
        Self::EndedBeforeOneCame,
        Self::LeaderDecidesTheCut,
        Self::ServedFromTheCommit,
        Self::LeavesAfterTheBarriers,
    ];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RemovedAreRefused => "removed-are-refused",
            Self::RepeatsArePassedOver => "repeats-are-passed-over",
            Self::AcknowledgedByTheLastLane => "acknowledged-by-the-last-lane",
            Self::NewestAttachmentCounts => "newest-attachment-counts",
            Self::VectorOfTheMerge => "vector-of-the-merge",
            Self::AttachedInItsTerm => "attached-in-its-term",
            Self::EndedBeforeOneCame => "ended-before-one-came",
            Self::LeaderDecidesTheCut => "leader-decides-the-cut",
            Self::ServedFromTheCommit => "served-from-the-commit",
            Self::LeavesAfterTheBarriers => "leaves-after-the-barriers",
        }
    }

    /// The rule of this number or name.
    #[must_use]
    pub fn find(number_or_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == number_or_name || rule.number().to_string() == number_or_name)
    }
}

/// Whether a rule holds: in the product, every one does.
#[cfg(not(feature = "switchable-rules"))]
#[must_use]
pub const fn holds(_: Rule) -> bool {
    true
}

#[cfg(feature = "switchable-rules")]
pub use switch::{holds, without};

#[cfg(feature = "switchable-rules")]
mod switch {
    //! One rule at a time, on this thread.

    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static LEFT_OUT: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// Whether a rule holds on this thread.
    #[must_use]
    pub fn holds(rule: Rule) -> bool {
        LEFT_OUT.get() != Some(rule)
    }

    /// Runs something on this thread without a rule, or with all of them.
    pub fn without<T>(rule: Option<Rule>, run: impl FnOnce() -> T) -> T {
        /// Puts back what was, also if the run panics.
        struct Restored(Option<Rule>);
        impl Drop for Restored {
            fn drop(&mut self) {
                LEFT_OUT.set(self.0);
            }
        }
        let _restored = Restored(LEFT_OUT.replace(rule));
        run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_number_and_its_name() {
        for (rule, number) in Rule::ALL.into_iter().zip(1..) {
            assert_eq!(rule.number(), number);
            assert_eq!(Rule::find(&number.to_string()), Some(rule));
            assert_eq!(Rule::find(rule.name()), Some(rule));
            assert!(holds(rule));
        }
        assert_eq!(Rule::find("11"), None);
    }

    #[cfg(feature = "switchable-rules")]
    #[test]
    fn one_rule_is_left_out_on_this_thread_for_as_long_as_something_runs() {
        without(Some(Rule::VectorOfTheMerge), || {
            assert!(!holds(Rule::VectorOfTheMerge) && holds(Rule::AttachedInItsTerm));
            without(None, || assert!(holds(Rule::VectorOfTheMerge)));
            assert!(!holds(Rule::VectorOfTheMerge));
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(holds(Rule::VectorOfTheMerge))).join().expect("it holds")
            });
        });
        assert!(holds(Rule::VectorOfTheMerge));
    }
}

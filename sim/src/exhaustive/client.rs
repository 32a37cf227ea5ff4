//! What the clients of the small cluster do and see: a subscriber that subscribes and unsubscribes over and over, a publisher on each
//! lane, and what they may expect of each other.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::position::LaneId;

/// A publication: its lane and its sequence there.
pub type Publication = (LaneId, u64);

/// What is known of a publication.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Operations answered before it was sent: the earliest state that may decide about it.
    low: usize,
    /// Operations asked for before it was acknowledged: the latest; `None` until then.
    high: Option<usize>,
    /// How often the subscriber has had it.
    delivered: usize,
}

/// What clients have done and seen.
#[derive(Debug, Default)]
pub struct Clients {
    /// Operations asked for; the odd ones subscribe, the even ones unsubscribe.
    asked: usize,
    /// Operations answered. Of one subscription the latest counts, so that with its answer what came before is decided as well, whether it is
    /// answered by then or not.
    answered: BTreeSet<usize>,
    publications: BTreeMap<Publication, Known>,
    /// The last sequence of each publisher that the subscriber has had.
    last: BTreeMap<LaneId, u64>,
}

impl Clients {
    /// The next operation: whether it subscribes.
    pub fn ask(&mut self) -> bool {
        self.asked += 1;
        self.asked % 2 == 1
    }

    /// Operations asked for so far.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// An operation is answered.
    pub fn answer(&mut self, operation: usize) -> Result<(), String> {
        if operation > self.asked {
            return Err(format!("operation {operation} is answered, and only {} were asked for", self.asked));
        }
        if !self.answered.insert(operation) {
            return Err(format!("operation {operation} is answered twice"));
        }
        Ok(())
    }

    /// Something is published.
    pub fn publish(&mut self, publication: Publication) {
        let known = Known { low: self.answered.last().copied().unwrap_or(0), high: None, delivered: 0 };
        self.publications.insert(publication, known);
    }

    /// A publisher's publications are acknowledged this far.
    pub fn acknowledge(&mut self, lane: LaneId, through: u64) {
        let asked = self.asked;
        for (_, known) in self.publications.range_mut((lane, 0)..=(lane, through)) {
            known.high.get_or_insert(asked);
        }
    }

    /// The subscriber gets a publication.
    pub fn deliver(&mut self, publication: Publication) -> Result<(), String> {
        let (lane, sequence) = publication;
        let Some(known) = self.publications.get_mut(&publication) else {
            return Err(format!("publication {sequence} of lane {lane} was never sent, and is delivered"));
        };
        known.delivered += 1;
        if known.delivered > 1 {
            return Err(format!("publication {sequence} of lane {lane} is delivered twice"));
        }
        let last = self.last.insert(lane, sequence).unwrap_or(0);
        if last > sequence {
            return Err(format!("publication {sequence} of lane {lane} is delivered after {last}"));
        }
        Ok(())
    }

    /// Nothing more will happen: what was owed has come, and nothing else. `has_lost`: subscriptions died with their last replica,
    /// so that anything may be missing.
    pub fn judge(&self, has_lost: bool) -> Result<(), String> {
        if let Some(missing) = (1..=self.asked).find(|operation| !self.answered.contains(operation)) {
            return Err(format!("operation {missing} is never answered"));
        }
        for (&(lane, sequence), known) in &self.publications {
            let Some(high) = known.high else {
                return Err(format!("publication {sequence} of lane {lane} is never acknowledged"));
            };
            // After an odd number of operations it is subscribed.
            let states = || known.low..=high.max(known.low);
            let may_come = states().any(|state| state % 2 == 1);
            let must_come = states().all(|state| state % 2 == 1) && !has_lost;
            if must_come && known.delivered == 0 {
                return Err(format!(
                    "publication {sequence} of lane {lane} is not delivered, though states {:?} all subscribe",
                    states()
                ));
            }
            if !may_come && known.delivered > 0 {
                return Err(format!(
                    "publication {sequence} of lane {lane} is delivered, though no state of {:?} subscribes",
                    states()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: LaneId = LaneId(1);

    fn clients(steps: &[&str]) -> Result<Clients, String> {
        let mut clients = Clients::default();
        for step in steps {
            match *step {
                "ask" => drop(clients.ask()),
                "answer" => {
                    let first = (1..).find(|operation| !clients.answered.contains(operation)).expect("there is no end");
                    clients.answer(first)?;
                }
                "answer the second" => clients.answer(2)?,
                "publish" => clients.publish((LANE, 1)),
                "acknowledge" => clients.acknowledge(LANE, 1),
                "deliver" => clients.deliver((LANE, 1))?,
                other => panic!("{other}"),
            }
        }
        Ok(clients)
    }

    fn verdict(steps: &[&str]) -> Result<(), String> {
        clients(steps)?.judge(false)
    }

    #[test]
    fn what_is_owed_must_come_and_what_may_come_may() {
        let subscribed = ["ask", "answer", "publish", "acknowledge"];
        assert!(verdict(&subscribed).expect_err("owed").contains("not delivered"));
        assert_eq!(verdict(&[&subscribed[..], &["deliver"]].concat()), Ok(()));
        let between = ["ask", "publish", "acknowledge", "answer"];
        assert_eq!(verdict(&between), Ok(()));
        assert_eq!(verdict(&[&between[..], &["deliver"]].concat()), Ok(()));
        let before = ["publish", "acknowledge", "ask", "answer"];
        assert_eq!(verdict(&before), Ok(()));
        assert!(verdict(&[&before[..], &["deliver"]].concat()).expect_err("too late").contains("no state"));
        assert!(verdict(&[&subscribed[..], &["deliver", "deliver"]].concat()).expect_err("twice").contains("twice"));
        assert!(verdict(&["publish"]).expect_err("lost").contains("never acknowledged"));
        assert!(verdict(&["ask"]).expect_err("forgotten").contains("never answered"));
        let overtaken = ["ask", "ask", "answer the second", "publish", "acknowledge", "answer"];
        assert_eq!(verdict(&overtaken), Ok(()), "the answer to an earlier one may come later");
        assert!(verdict(&[&overtaken[..], &["deliver"]].concat()).expect_err("it is decided").contains("no state"));
        assert!(verdict(&["ask", "answer", "answer"]).expect_err("once").contains("only 1"));
    }
}

//! What clients say, gathered for a moment: where other layers are behind links, each round of the loop costs a packet, a system call and a
//! wake-up in every process on the way, whatever it carries. What comes after a pause passes at once; what follows within
//! [`Gathering::within`] goes together when that is over, or when it is enough for a round. Messages of other machines never wait.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use gomera_cluster::time::Instant;

use super::Input;
use super::alarm::Alarm;

/// Inputs of clients on their way to machines, in order.
#[derive(Debug, Default)]
pub struct Gathering {
    within: Duration,
    held: VecDeque<Input>,
    /// About how many publications they bring.
    load: usize,
    /// When the last were let go.
    released: Instant,
    alarm: Option<Alarm>,
    /// It rings when what is held has waited long enough.
    is_set: bool,
}

impl Gathering {
    /// Holds inputs of clients for so long; not at all, if that is nothing.
    pub fn set_within(&mut self, within: Duration) {
        self.within = within;
    }

    /// Prepares to wait. Must be called within the runtime that does.
    pub fn start(&mut self) {
        if !self.within.is_zero() {
            self.alarm = Some(Alarm::new());
        }
    }

    /// Takes inputs; those that do not wait go to `waiting`.
    pub fn take(&mut self, inputs: impl Iterator<Item = Input>, waiting: &mut VecDeque<Input>) {
        if self.within.is_zero() {
            return waiting.extend(inputs);
        }
        for input in inputs {
            if input.is_of_client() {
                self.load += input.load();
                self.held.push_back(input);
                continue;
            }
            if matches!(input, Input::Stop) {
                // It ends what was told before.
                waiting.extend(self.held.drain(..));
                self.load = 0;
            }
            waiting.push_back(input);
        }
    }

    /// Lets go what has waited long enough, or is enough for a round.
    pub fn release(&mut self, now: Instant, round: usize, waiting: &mut VecDeque<Input>) {
        if !self.held.is_empty() && (self.load >= round || now.since(self.released) >= self.within) {
            waiting.extend(self.held.drain(..));
            (self.load, self.released, self.is_set) = (0, now, false);
        }
    }

    /// Prepares to be told when [`Self::release`] will let go what is held now.
    pub fn wait(&mut self, now: Instant) {
        if let Some(alarm) = &mut self.alarm
            && !self.held.is_empty()
            && !self.is_set
        {
            self.is_set = true;
            alarm.set(self.within.saturating_sub(now.since(self.released)));
        }
    }

    /// Ready when it is time to let go what is held.
    pub fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.alarm {
            Some(alarm) if !self.held.is_empty() => {
                let rings = alarm.poll(context);
                self.is_set &= rings.is_pending();
                rings
            }
            Some(_) | None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::address::{Address, Incarnation, Shard};
    use gomera_cluster::identity::ConnectionId;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(1);
    const ROUND: usize = 4;

    fn at(micros: u64) -> Instant {
        Instant::from_start(Duration::from_micros(micros))
    }

    fn of_client(connection: u64) -> Input {
        let machine = Address { node: Incarnation(1), shard: Shard(0) };
        Input::Disconnected { machine, connection: ConnectionId(connection) }
    }

    /// What is waiting, in order: connections, and 0 for what comes from no client.
    fn told(waiting: &mut VecDeque<Input>) -> Vec<u64> {
        let number = |input| if let Input::Disconnected { connection, .. } = input { connection.0 } else { 0 };
        waiting.drain(..).map(number).collect()
    }

    fn gathering() -> Gathering {
        let mut gathering = Gathering::default();
        gathering.set_within(WITHIN);
        gathering
    }

    #[test]
    fn what_comes_after_a_pause_passes_at_once_and_what_follows_goes_together() {
        let (mut gathering, mut waiting) = (gathering(), VecDeque::new());
        let mut come = |at, inputs: Vec<Input>| {
            gathering.take(inputs.into_iter(), &mut waiting);
            gathering.release(at, ROUND, &mut waiting);
            told(&mut waiting)
        };
        assert_eq!(come(at(5_000), vec![of_client(1)]), [1]);
        assert_eq!(come(at(5_100), vec![of_client(2)]), Vec::<u64>::new());
        assert_eq!(come(at(5_900), vec![of_client(3)]), Vec::<u64>::new());
        assert_eq!(come(at(6_000), vec![]), [2, 3]);
        assert_eq!(come(at(6_999), vec![of_client(4)]), Vec::<u64>::new());
        assert_eq!(come(at(7_000), vec![of_client(5)]), [4, 5]);
    }

    #[test]
    fn enough_for_a_round_does_not_wait() {
        let (mut gathering, mut waiting) = (gathering(), VecDeque::new());
        for burst in 0..3 {
            gathering.take((1..=4).map(of_client), &mut waiting);
            gathering.release(at(burst), ROUND, &mut waiting);
            assert_eq!(told(&mut waiting), [1, 2, 3, 4], "burst {burst}");
        }
    }

    #[test]
    fn an_end_comes_after_what_was_told_before_and_nothing_waits_for_nothing() {
        let (mut gathering, mut waiting) = (gathering(), VecDeque::new());
        gathering.release(at(1), ROUND, &mut waiting);
        gathering.take([of_client(1), Input::Stop].into_iter(), &mut waiting);
        assert_eq!(told(&mut waiting), [1, 0]);

        let mut at_once = Gathering::default();
        at_once.take([of_client(1)].into_iter(), &mut waiting);
        assert_eq!(told(&mut waiting), [1]);
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_what_is_held_is_due() {
        let (mut gathering, mut waiting) = (gathering(), VecDeque::new());
        gathering.start();
        gathering.released = at(1_000);
        gathering.take([of_client(1)].into_iter(), &mut waiting);
        gathering.wait(at(1_200));
        std::future::poll_fn(|context| gathering.poll_due(context)).await;
        gathering.release(at(2_000), ROUND, &mut waiting);
        assert_eq!(told(&mut waiting), [1]);
        let nothing_is_due = std::future::poll_fn(|context| Poll::Ready(gathering.poll_due(context).is_pending()));
        assert!(nothing_is_due.await, "nothing is held");
    }
}

//! Claims about the table of publishers.

use super::*;
use crate::fixture::{CONNECTION_POINT, address, publisher};

struct Bench {
    table: Publishers,
    now: Instant,
    number: u64,
}

impl Bench {
    fn new(config: &Config) -> Self {
        Self { table: Publishers::new(config), now: Instant::ZERO, number: 0 }
    }

    fn name(name: &str) -> Name {
        (publisher(name), Instance(1))
    }

    fn open(&mut self, name: &str, generation: u64) -> Opened {
        let opened = self.table.open(self.now, Self::name(name), CONNECTION_POINT, Generation(generation));
        opened.expect("there is room")
    }

    fn submit(&mut self, name: &str, sequence: u64, generation: u64, resent: bool) -> Option<Verdict> {
        let submitted = Submitted {
            name: Self::name(name),
            generation: Generation(generation),
            sequence: Sequence(sequence),
            resent,
            from: CONNECTION_POINT,
        };
        let slot = self.table.find(self.now, &submitted)?;
        let verdict = self.table.judge(slot, &submitted);
        if let Verdict::Take(slot) = verdict {
            self.number += 1;
            self.table.taken(slot, Sequence(sequence), Number(self.number));
        }
        Some(verdict)
    }

    fn took(&mut self, name: &str, sequence: u64) -> Slot {
        match self.submit(name, sequence, 1, false) {
            Some(Verdict::Take(slot)) => slot,
            other => panic!("{other:?}"),
        }
    }

    fn acknowledged(&mut self) -> Vec<u64> {
        self.table.acknowledgements().map(|(_, through)| through.sequence.0).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.table.sweep(self.now);
    }
}

fn config(publishers_max: u32) -> Config {
    Config { publishers_max, publisher_idle: Duration::from_secs(10), ..Config::default() }
}

#[test]
fn repeats_are_told_from_what_is_new_and_from_what_would_break_the_order() {
    let mut bench = Bench::new(&config(10));
    bench.open("p", 1);
    let slot = bench.took("p", 1);
    bench.took("p", 3);
    assert_eq!(bench.submit("p", 1, 1, true), Some(Verdict::Outstanding(Number(1))));
    assert_eq!(bench.submit("p", 2, 1, false), Some(Verdict::Refuse(Refusal::OutOfRange)), "passed over");
    bench.table.merged(slot, Sequence(1));
    assert_eq!(bench.acknowledged(), [1]);
    assert_eq!(bench.submit("p", 1, 1, true), Some(Verdict::Acknowledged));
    assert_eq!(bench.submit("p", 1, 1, false), Some(Verdict::Acknowledged));
    assert_eq!(bench.acknowledged(), [1], "once for both");
    bench.table.merged(slot, Sequence(3));
    assert_eq!(bench.submit("p", 2, 1, false), Some(Verdict::Acknowledged), "below the window all are repeats");
    assert_eq!(bench.acknowledged(), [3]);
}

#[test]
fn what_was_never_taken_is_never_acknowledged() {
    let mut bench = Bench::new(&config(10));
    let slot = bench.took("p", 5);
    assert_eq!(bench.submit("p", 3, 1, true), Some(Verdict::Refuse(Refusal::OutOfRange)), "before all that is known");
    bench.table.merged(slot, Sequence(5));
    assert_eq!(bench.submit("p", 3, 1, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    assert_eq!(bench.submit("p", 5, 1, true), Some(Verdict::Acknowledged));
}

#[test]
fn the_newest_attachment_alone_is_answered() {
    let mut bench = Bench::new(&config(10));
    assert_eq!(bench.open("p", 1).superseded, None);
    bench.took("p", 1);
    let elsewhere = address(5, 0);
    let opened = bench.table.open(bench.now, Bench::name("p"), elsewhere, Generation(2)).expect("known");
    assert_eq!(opened.superseded, Some((CONNECTION_POINT, Generation(1))));
    assert_eq!((opened.sequenced, opened.acknowledged), (Sequence(1), Sequence(0)));
    assert_eq!(bench.submit("p", 2, 1, false), Some(Verdict::Superseded));
    assert!(matches!(bench.submit("p", 2, 2, false), Some(Verdict::Take(_))));
    let slot = bench.table.by_name[&Bench::name("p")];
    bench.table.merged(slot, Sequence(1));
    let told = bench.table.acknowledgements().map(|(to, through)| (to, through.generation)).collect::<Vec<_>>();
    assert_eq!(told, [(elsewhere, Generation(2))]);
}

#[test]
fn an_idle_publisher_is_forgotten_and_its_flagged_re_sends_are_out_of_range_until_it_publishes_anew() {
    let mut bench = Bench::new(&config(10));
    bench.open("p", 1);
    let slot = bench.took("p", 5);
    for _ in 0..5 {
        bench.pass(10);
    }
    assert_eq!(bench.table.len(), 1, "what is outstanding keeps it");
    bench.table.merged(slot, Sequence(5));
    bench.acknowledged();
    bench.pass(10);
    bench.pass(10);
    assert_eq!((bench.table.len(), bench.table.evicted()), (0, 1));
    let opened = bench.open("p", 2);
    assert_eq!((opened.sequenced, opened.superseded), (Sequence(0), None));
    assert_eq!(bench.submit("p", 5, 2, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    bench.open("p", 3);
    assert!(matches!(bench.submit("p", 7, 3, false), Some(Verdict::Take(_))));
    assert!(
        matches!(bench.submit("p", 8, 3, true), Some(Verdict::Take(_))),
        "sent after something new: never taken before"
    );
}

/// "p" has published 5, which is acknowledged, and was forgotten.
fn forgotten() -> Bench {
    let mut bench = Bench::new(&config(10));
    let slot = bench.took("p", 5);
    bench.table.merged(slot, Sequence(5));
    bench.acknowledged();
    bench.pass(10);
    bench.pass(10);
    assert_eq!(bench.table.len(), 0);
    bench
}

#[test]
fn nothing_is_taken_of_a_forgotten_publisher_before_its_client_knows_what_was_refused() {
    let mut bench = forgotten();
    bench.open("p", 2);
    assert_eq!(bench.submit("p", 5, 2, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    assert_eq!(bench.submit("p", 6, 2, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    // If this lane were fenced with 7 taken, a client that has heard nothing would send 5 and 6 again on another one, and have them acknowledged.
    assert_eq!(bench.submit("p", 7, 2, false), Some(Verdict::Refuse(Refusal::Lane)), "it has to come back");
    assert_eq!(bench.submit("p", 8, 2, false), Some(Verdict::Refuse(Refusal::Lane)));
    // It has heard of one refusal.
    bench.open("p", 3);
    assert_eq!(bench.submit("p", 6, 3, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    assert_eq!(bench.submit("p", 7, 3, true), Some(Verdict::Refuse(Refusal::Lane)));
    // It has heard of both. Nobody had taken 7 before it came here unflagged.
    bench.open("p", 4);
    assert!(matches!(bench.submit("p", 7, 4, true), Some(Verdict::Take(_))));
    assert!(matches!(bench.submit("p", 8, 4, true), Some(Verdict::Take(_))));
}

#[test]
fn nothing_is_taken_behind_a_refusal_though_the_record_goes_in_between() {
    let refused = |bench: &mut Bench| {
        bench.open("p", 2);
        for sequence in [5, 6] {
            assert_eq!(bench.submit("p", sequence, 2, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
        }
    };
    let idle = |bench: &mut Bench| {
        bench.pass(10);
        bench.pass(10);
        assert_eq!(bench.table.len(), 0, "it was forgotten once more");
    };
    let mut bench = forgotten();
    refused(&mut bench);
    for sequence in [7, 8] {
        idle(&mut bench);
        let verdict = bench.submit("p", sequence, 2, false);
        assert_eq!(verdict, Some(Verdict::Refuse(Refusal::Lane)), "its client may not know yet");
    }
    idle(&mut bench);
    bench.open("p", 3);
    assert!(matches!(bench.submit("p", 9, 3, false), Some(Verdict::Take(_))), "nothing had to be refused on this one");
    // The same where it is somebody else who needs the room.
    let mut bench = forgotten();
    bench.table.limit = 1;
    refused(&mut bench);
    bench.open("other", 3);
    bench.table.confirmed(Bench::name("other"), Sequence(0));
    assert_eq!(bench.submit("p", 7, 2, false), Some(Verdict::Refuse(Refusal::Lane)));
}

#[test]
fn who_goes_on_after_it_was_idle_and_sends_nothing_again_need_not_come_back() {
    let mut bench = forgotten();
    for sequence in [6, 7] {
        let Some(Verdict::Take(slot)) = bench.submit("p", sequence, 1, false) else { panic!("nothing was refused") };
        bench.table.merged(slot, Sequence(sequence));
        bench.acknowledged();
        bench.pass(10);
        bench.pass(10);
        assert_eq!(bench.table.len(), 0);
    }
}

#[test]
fn what_lies_below_the_first_that_is_known_is_not_acknowledged_to_the_next_attachment() {
    let mut bench = forgotten();
    bench.open("p", 2);
    let Some(Verdict::Take(slot)) = bench.submit("p", 7, 2, false) else { panic!("it is new") };
    let opened = bench.open("p", 3);
    assert_eq!((opened.sequenced, opened.acknowledged), (Sequence(7), Sequence(0)));
    bench.table.merged(slot, Sequence(7));
    assert_eq!(bench.acknowledged(), [0; 0], "it would seem to acknowledge 5 as well");
    assert_eq!(bench.submit("p", 5, 3, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    assert_eq!(bench.acknowledged(), [0; 0]);
    assert_eq!(bench.submit("p", 7, 3, true), Some(Verdict::Acknowledged));
    assert_eq!(bench.acknowledged(), [7]);
}

#[test]
fn a_flagged_re_send_of_an_instance_never_seen_here_is_taken() {
    let mut bench = Bench::new(&config(10));
    bench.open("moved here", 1);
    assert!(matches!(bench.submit("moved here", 40, 1, true), Some(Verdict::Take(_))));
}

#[test]
fn a_full_table_lets_go_whom_nobody_waits_for_and_refuses_otherwise() {
    let mut bench = Bench::new(&config(2));
    let first = bench.took("first", 1);
    let second = bench.took("second", 1);
    assert_eq!(bench.submit("third", 1, 1, false), None);
    assert_eq!(bench.table.open(bench.now, Bench::name("third"), CONNECTION_POINT, Generation(1)), None);
    for slot in [first, second] {
        bench.table.merged(slot, Sequence(1));
    }
    assert_eq!(bench.submit("third", 1, 1, false), None, "their clients may still ask");
    bench.acknowledged();
    bench.table.confirmed(Bench::name("second"), Sequence(1));
    assert_eq!(bench.submit("third", 2, 1, false), None, "behind what was refused");
    bench.open("third", 2);
    assert!(matches!(bench.submit("third", 1, 2, true), Some(Verdict::Take(_))));
    assert_eq!(bench.table.len(), 2);
    assert_eq!(bench.submit("first", 1, 1, true), Some(Verdict::Acknowledged), "the other stayed");
}

#[test]
fn queues_of_records_hold_nothing_stale_however_many_come_and_go() {
    let mut bench = Bench::new(&config(4));
    for index in 0..2000 {
        let name = format!("p{index}");
        let slot = bench.took(&name, 1);
        bench.table.merged(slot, Sequence(1));
        bench.acknowledged();
        bench.table.confirmed(Bench::name(&name), Sequence(1));
        let known = bench.table.len();
        assert_eq!((bench.table.sweep.len(), bench.table.expendable.len()), (known, known));
    }
    assert_eq!(bench.table.len(), 4);
    assert!(bench.table.slots.len() <= 4);
}

#[test]
fn who_is_used_again_does_not_wait_among_those_that_may_go() {
    let mut bench = Bench::new(&config(3));
    let names = ["first", "second", "third"];
    for name in names {
        bench.open(name, 1);
    }
    assert_eq!(bench.table.expendable.len(), 3);
    let slots = names.map(|name| bench.took(name, 1));
    assert_eq!(bench.table.expendable.len(), 0, "whoever needs room would go through them");
    for (name, slot) in names.into_iter().zip(slots) {
        bench.table.merged(slot, Sequence(1));
        bench.table.confirmed(Bench::name(name), Sequence(1));
    }
    assert_eq!(bench.table.expendable.len(), 0, "their acknowledgements are not told yet");
    bench.acknowledged();
    assert_eq!(bench.table.expendable.len(), 3);
    assert_eq!(bench.submit("first", 1, 1, true), Some(Verdict::Acknowledged));
    bench.acknowledged();
    bench.open("fourth", 1);
    let known = names.map(|name| bench.table.knows(&Bench::name(name)));
    assert_eq!(known, [true, false, true], "who was used last goes last");
}

#[test]
fn those_remembered_as_forgotten_are_bounded_and_the_oldest_goes_first() {
    let mut bench = Bench::new(&Config { forgotten_max: 1, ..config(10) });
    for name in ["first", "second"] {
        let slot = bench.took(name, 5);
        bench.table.merged(slot, Sequence(5));
        bench.acknowledged();
        bench.pass(10);
        bench.pass(10);
    }
    assert_eq!(bench.submit("second", 5, 1, true), Some(Verdict::Refuse(Refusal::OutOfRange)));
    assert!(matches!(bench.submit("first", 5, 1, true), Some(Verdict::Take(_))));
}

#[test]
fn what_an_older_attachment_sent_is_not_taken_after_its_record_made_room() {
    let mut bench = Bench::new(&config(1));
    bench.open("p", 1);
    let elsewhere = address(5, 0);
    bench.table.open(bench.now, Bench::name("p"), elsewhere, Generation(2)).expect("known");
    let Some(Verdict::Take(slot)) = bench.submit("p", 1, 2, true) else { panic!("the older one's is still under way") };
    bench.table.merged(slot, Sequence(1));
    bench.acknowledged();
    bench.table.confirmed(Bench::name("p"), Sequence(1));
    bench.open("other", 3);
    bench.table.confirmed(Bench::name("other"), Sequence(0));
    assert_eq!(bench.table.len(), 1, "p made room");
    assert_eq!(bench.submit("p", 1, 1, false), Some(Verdict::Superseded), "it would be taken twice");
    assert!(matches!(bench.submit("p", 2, 2, false), Some(Verdict::Take(_))), "the present attachment goes on");
}

#[test]
fn what_an_older_attachment_sent_is_not_taken_after_its_publisher_was_idle() {
    let mut bench = Bench::new(&config(10));
    bench.open("p", 1);
    bench.open("p", 2);
    let Some(Verdict::Take(slot)) = bench.submit("p", 1, 2, true) else { panic!("new") };
    bench.table.merged(slot, Sequence(1));
    bench.acknowledged();
    bench.table.confirmed(Bench::name("p"), Sequence(1));
    bench.pass(10);
    bench.pass(10);
    assert_eq!(bench.table.len(), 0);
    assert_eq!(bench.submit("p", 1, 1, false), Some(Verdict::Superseded));
}

#[test]
fn who_opens_and_publishes_nothing_makes_room() {
    let mut bench = Bench::new(&config(1));
    for name in ["first", "second", "third"] {
        bench.open(name, 1);
    }
    assert!(matches!(bench.submit("third", 1, 1, false), Some(Verdict::Take(_))));
    assert_eq!(bench.table.open(bench.now, Bench::name("first"), CONNECTION_POINT, Generation(2)), None);
}

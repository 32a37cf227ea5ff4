//! Random filters, publications and operations, from a seed. Few names and few values, so that filters meet publications; now
//! and then values of an unexpected type.

use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::identity::{
    Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Tenant,
};
use gomera_cluster::operation::{Change, Existing, Operation, Subscription, SubscriptionOptions, Version};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use crate::plain::Plain;

const SESSIONS: u64 = 8;
const IDS: u64 = 12;

pub struct Generator {
    state: u64,
    generations: [u64; 8],
    counter: u64,
    sequence: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, generations: [1; 8], counter: 0, sequence: 0 }
    }

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).expect("small")]
    }

    fn tenant(&mut self) -> Tenant {
        Tenant(Arc::from(if self.chance(85) { "one" } else { "two" }))
    }

    pub fn publication(&mut self) -> Arc<Envelope> {
        self.sequence += 1;
        let tenant = self.tenant();
        let mut entries: Vec<(&str, Value)> = Vec::new();
        for name in ["s", "t", "n", "m", "f", "b", "list", "when"] {
            if self.chance(88) {
                let value = self.value(name);
                entries.push((name, value));
            }
        }
        let publisher = PublisherKey::of(&tenant, "p");
        Arc::new(Envelope {
            publisher: Arc::from("p"),
            key: PublicationKey { publisher, instance: Instance(1), sequence: Sequence(self.sequence) },
            accepted_at: Timestamp(self.time()),
            expires_at: None,
            content: Bytes::new(),
            attributes: AttributeBlock::Decoded(entries.into_iter().collect::<Attributes>()),
            tenant,
        })
    }

    /// Wall time: a step for each publication.
    fn time(&self) -> i64 {
        i64::try_from(self.sequence * 1000).expect("small")
    }

    fn value(&mut self, name: &str) -> Value {
        let name = if self.chance(96) { name } else { self.pick(&["s", "n", "f", "b", "list", "when"]) };
        let small = i64::try_from(self.below(6)).expect("small");
        match name {
            "s" | "t" => Value::from(self.pick(&["x", "y", "z", "2024-01-01T00:00:00Z"])),
            "n" | "m" => Value::from(small),
            "f" => match self.below(12) {
                0 => Value::from(f64::NAN),
                1 => Value::from(f64::INFINITY),
                2 => Value::from(-0.0),
                3..=6 => Value::from(f64::from(i32::try_from(small).expect("small"))),
                _ => Value::from(f64::from(i32::try_from(small).expect("small")) + 0.5),
            },
            "b" => Value::from(self.chance(50)),
            "list" => Value::array(vec![Value::from(small), Value::from(self.pick(&["x", "y"]))]).expect("scalars"),
            _ => Value::from(Timestamp(1_704_067_200_000_000 + small)),
        }
    }

    fn filter(&mut self) -> Filter {
        let count = 1 + self.below(3);
        let joint = if self.chance(70) { " AND " } else { " OR " };
        let parts = (0..count).map(|_| self.condition()).collect::<Vec<_>>();
        let text = parts.join(joint);
        Filter::parse(&text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn condition(&mut self) -> String {
        let number = self.pick(&["n", "m", "f"]);
        let text = self.pick(&["s", "t"]);
        let (low, high) = (self.below(4), 2 + self.below(5));
        let constant = self.pick(&["'x'", "'y'", "'z'", "'2024-01-01T00:00:00Z'", "TIMESTAMP '2024-01-01T00:00:00Z'"]);
        match self.below(20) {
            0..=2 => format!("{text} = {constant}"),
            3 => format!("{number} = {low}"),
            4 => format!("{high}.0 = {number}"),
            5..=7 => format!("{low} <= {number} AND {number} < {high}"),
            8 => format!("{number} BETWEEN {low} AND {high}.5"),
            9 => format!("{number} > {low}.5"),
            10 => format!("NOT {text} = {constant}"),
            11 => format!("({text} = 'x' OR {number} >= {high})"),
            12 => format!("{text} IN ('x', 'y')"),
            13 => "b".to_owned(),
            14 => format!("{number} = $n"),
            15 => format!("{text} = $s"),
            16 => format!("{text} LIKE '%'"),
            17 => format!("list IN ({low}, 'y')"),
            18 => format!("{number} IS NOT NULL"),
            _ => format!("when >= '2024-01-01T00:00:00Z' AND {text} <> {constant}"),
        }
    }

    pub fn operation(&mut self, plain: &Plain) -> Operation {
        let session_index = usize::try_from(self.below(SESSIONS)).expect("small");
        let tenant = Tenant(Arc::from(if session_index == 0 { "two" } else { "one" }));
        let name = format!("session {session_index}");
        let id = format!("id {}", self.below(IDS));
        let key = SubscriptionKey::of(&tenant, &name, &id);
        self.counter += 1;
        let generation = self.generations[session_index];
        let mut version = Version { generation: Generation(generation), counter: self.counter };
        if self.chance(5) {
            // Late: overtaken by what was done to the same subscription, or by the end of the session.
            version = plain.version(key).map_or(version, |known| Version { counter: known.counter / 2, ..known });
        }
        let change = match self.below(100) {
            0..=59 => self.put(key, id),
            60..=71 => Change::Remove(key),
            72..=83 => Change::SetPaused(key, self.chance(30)),
            84..=96 => {
                let context = [("n", self.value("n")), ("s", self.value("s"))];
                Change::SetContext(Arc::new(context.into_iter().collect()))
            }
            _ => {
                self.generations[session_index] += 1;
                version = Version { generation: Generation(generation), counter: u64::MAX };
                Change::Forget
            }
        };
        let low = Version { generation: Generation(0), counter: 0 };
        Operation { session: SessionKey::of(&tenant, &name), tenant, version, low, change }
    }

    fn put(&mut self, key: SubscriptionKey, id: String) -> Change {
        let expires_at = self.chance(10).then(|| Timestamp(self.time() + 200_000));
        let options = SubscriptionOptions { paused: self.chance(8), expires_at };
        let filter = self.filter();
        let subscription = Subscription { key, id: Arc::from(id), handle: Handle(self.counter), filter, options };
        Change::Put(subscription, Existing::Any)
    }
}

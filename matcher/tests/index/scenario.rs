//! Inserts, updates, removes, loads, changes of context, moves of slices and publications, interleaved; after each publication
//! the index must have said what the plain evaluator says of every row that counts.

use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_matcher::index::{RowId, TOGETHER};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, Truth, evaluate};

use super::choices::Choices;
use super::filters::filter;
use super::subject::{Direction, Row, Rows, SLICES, Subject};
use super::values::Schema;

const SESSIONS: usize = 6;

/// How often each truth value came up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Force {
    pub yes: u64,
    pub no: u64,
    pub unknown: u64,
}

/// One run.
pub struct Scenario<C> {
    choices: C,
    /// Two tenants.
    schemas: [Schema; 2],
    rows: Rows,
    subject: Subject,
    /// Filters given before, for those that are identical to another one.
    known: Vec<(usize, Filter)>,
    rows_max: usize,
    force: Force,
}

fn tenant(index: usize) -> Tenant {
    Tenant(["one", "two"][index].into())
}

impl<C: Choices> Scenario<C> {
    /// With rows numbered below `rows_max`; so many steps put some in before anything else happens.
    pub fn new(mut choices: C, rows_max: usize, filled: usize) -> Self {
        let schemas = [Schema::new(&mut choices), Schema::new(&mut choices)];
        let contexts = (0..SESSIONS).map(|_| choices.percent(80).then(|| schemas[0].context(&mut choices))).collect();
        let seed = choices.word();
        let rows = Rows { contexts, ..Rows::default() };
        let mut scenario = Self {
            choices,
            schemas,
            rows,
            subject: Subject::new(seed),
            known: Vec::new(),
            rows_max,
            force: Force::default(),
        };
        (0..filled).for_each(|_| scenario.put());
        scenario
    }

    /// Something happens, unless the decisions have come to an end. An `Err` says what was wrong.
    pub fn step(&mut self) -> Result<(), String> {
        if self.is_at_end() {
            return Ok(());
        }
        match self.choices.below(100) {
            0..=39 => self.publish(),
            40..=69 => {
                self.put();
                Ok(())
            }
            70..=79 => {
                self.remove();
                Ok(())
            }
            80..=83 => {
                self.load();
                Ok(())
            }
            84..=89 => {
                let session = self.choices.below(SESSIONS);
                let context = self.choices.percent(85).then(|| self.schemas[0].context(&mut self.choices));
                self.rows.contexts[session] = context;
                Ok(())
            }
            90..=92 => {
                let direction = if self.choices.percent(50) { Direction::Activating } else { Direction::Retiring };
                let wanted = direction == Direction::Retiring;
                let slices = (0..SLICES).map(MatcherSlice).filter(|&slice| self.subject.counts(slice) == wanted);
                let slices = slices.filter(|_| self.choices.percent(40)).collect::<Vec<_>>();
                self.subject.begin(direction, slices);
                Ok(())
            }
            93..=96 => {
                let rows_max = 1 + self.choices.below(40);
                self.subject.step(&self.rows, rows_max);
                Ok(())
            }
            97 | 98 => {
                let rows_max = 1 + self.choices.below(100);
                self.subject.step(&self.rows, rows_max);
                Ok(())
            }
            _ => {
                self.subject.check(&self.rows);
                Ok(())
            }
        }
    }

    /// How often each truth value came up so far.
    pub fn force(&self) -> Force {
        self.force
    }

    /// Whether nothing is left to decide by.
    pub fn is_at_end(&self) -> bool {
        self.choices.is_at_end()
    }

    fn filter(&mut self, of: usize) -> Filter {
        if !self.known.is_empty() && self.choices.percent(25) {
            let (tenant, filter) = &self.known[self.choices.below(self.known.len())];
            // A tenant may well ask for what only another one publishes.
            if *tenant == of || self.choices.percent(10) {
                return filter.clone();
            }
        }
        let filter = filter(&self.schemas[of], &mut self.choices);
        if self.known.len() < self.rows_max / 8 + 8 {
            self.known.push((of, filter.clone()));
        }
        filter
    }

    fn id(&mut self) -> RowId {
        RowId(u32::try_from(self.choices.below(self.rows_max)).expect("small"))
    }

    fn put(&mut self) {
        let id = self.id();
        let of = usize::from(self.choices.percent(20));
        let filter = self.filter(of);
        if let Some(before) = self.rows.rows.remove(&id) {
            self.subject.remove(id, &before);
        }
        let slice = MatcherSlice(u16::try_from(self.choices.below(usize::from(SLICES))).expect("small"));
        let row = Row { tenant: tenant(of), slice, session: self.choices.below(SESSIONS), filter };
        self.subject.insert(id, &row);
        self.rows.rows.insert(id, row);
    }

    fn remove(&mut self) {
        let id = self.id();
        if let Some(row) = self.rows.rows.remove(&id) {
            self.subject.remove(id, &row);
        }
    }

    /// What a snapshot brings: several rows at once.
    fn load(&mut self) {
        let of = usize::from(self.choices.percent(20));
        let slice = MatcherSlice(u16::try_from(self.choices.below(usize::from(SLICES))).expect("small"));
        let session = self.choices.below(SESSIONS);
        let mut loaded = Vec::new();
        for _ in 0..1 + self.choices.below(8) {
            let id = self.id();
            if let std::collections::btree_map::Entry::Vacant(_) = self.rows.rows.entry(id) {
                let filter = self.filter(of);
                self.rows.rows.insert(id, Row { tenant: tenant(of), slice, session, filter: filter.clone() });
                loaded.push((id, filter));
            }
        }
        self.subject.load(&tenant(of), slice, &loaded);
    }

    fn publish(&mut self) -> Result<(), String> {
        let of = usize::from(self.choices.percent(20));
        let more = match self.choices.below(20) {
            0..16 => 0,
            16..19 => 3,
            _ => TOGETHER - 1,
        };
        let count = 1 + self.choices.below(more + 1);
        let publications = (0..count).map(|_| self.schemas[of].publication(&mut self.choices)).collect::<Vec<_>>();
        let hidden = self.choices.percent(10).then(|| self.choices.below(usize::from(SLICES)));
        let hidden = hidden.map(|slice| u16::try_from(slice).expect("small"));
        let effort_max = if self.choices.percent(10) { self.choices.below(100) } else { usize::MAX };
        let tenant = tenant(of);
        let all = publications.iter().collect::<Vec<_>>();
        let found = self.subject.matches(&tenant, &all, &self.rows, hidden, effort_max);
        for (publication, found) in publications.iter().zip(found) {
            let mut expected = Vec::new();
            for (id, row) in &self.rows.rows {
                if row.tenant != tenant || !self.subject.counts(row.slice) || Some(row.slice.0) == hidden {
                    continue;
                }
                match self.truth(row, publication) {
                    Truth::True => {
                        self.force.yes += 1;
                        expected.push(*id);
                    }
                    Truth::False => self.force.no += 1,
                    Truth::Unknown => self.force.unknown += 1,
                }
            }
            if found != expected {
                return Err(self.complaint(publication, &expected, &found));
            }
        }
        Ok(())
    }

    fn truth(&self, row: &Row, publication: &Attributes) -> Truth {
        let nothing = Attributes::default();
        let context = self.rows.contexts[row.session].as_ref().unwrap_or(&nothing);
        evaluate(&row.filter, publication, context)
    }

    fn complaint(&self, publication: &Attributes, expected: &[RowId], found: &[RowId]) -> String {
        let mut text = format!("publication {publication:?}\n");
        let mut tell = |what: &str, id: &RowId| {
            let row = self.rows.rows.get(id).map(|row| (self.truth(row, publication), row));
            text.push_str(&format!("{what} {id:?}: {row:?}\n"));
        };
        expected.iter().filter(|id| !found.contains(id)).for_each(|id| tell("missing", id));
        found.iter().filter(|id| !expected.contains(id)).for_each(|id| tell("too much", id));
        found.windows(2).filter(|two| two[0] == two[1]).for_each(|two| tell("twice", &two[0]));
        text
    }
}

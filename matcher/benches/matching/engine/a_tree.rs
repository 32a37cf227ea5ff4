//! Crate a-tree (Ji, Jacobsen, SIGMOD 2021), through its text and its typed events. What its language lacks (prefixes,
//! geography) is left out of the text and asked of the plain evaluator for what it finds.

use std::collections::HashMap;

use ::a_tree::{ATree, AttributeDefinition, Event};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, evaluate};
use gomera_model::value::Value;

use super::{Engine, Offered};
use crate::workload::{Kind, Workload};

pub struct ATreeEngine {
    tree: ATree<u32>,
    kinds: HashMap<String, Kind>,
    residuals: HashMap<u32, Filter>,
    nothing: Attributes,
}

impl ATreeEngine {
    pub fn new(workload: &Workload) -> Self {
        let schema = workload.schema();
        let definitions = schema.iter().filter_map(|(name, kind)| match kind {
            Kind::Integer => Some(AttributeDefinition::integer(name)),
            Kind::Float => Some(AttributeDefinition::float(name)),
            Kind::String => Some(AttributeDefinition::string(name)),
            Kind::Flag => Some(AttributeDefinition::boolean(name)),
            Kind::Place => None,
        });
        let definitions = definitions.collect::<Vec<_>>();
        let tree = ATree::new(&definitions).expect("names are different");
        let kinds = schema.into_iter().collect();
        Self { tree, kinds, residuals: HashMap::new(), nothing: Attributes::default() }
    }
}

impl Engine for ATreeEngine {
    type Event = (Event, Attributes);

    fn insert(&mut self, offered: &Offered) {
        let (text, weaker) = offered.spec.a_tree().expect("something that a-tree can say");
        if let Err(error) = self.tree.insert(&offered.id, &text) {
            panic!("a-tree refuses {text}: {error:?}");
        }
        if weaker {
            self.residuals.insert(offered.id, offered.filter.clone());
        }
    }

    fn remove(&mut self, id: u32) {
        self.tree.delete(&id);
        self.residuals.remove(&id);
    }

    fn prepare(&mut self, attributes: &Attributes) -> Self::Event {
        let mut event = self.tree.make_event();
        for (name, value) in attributes.iter() {
            let Some(kind) = self.kinds.get(&**name) else { continue };
            let set = match (value, kind) {
                (Value::Integer(integer), Kind::Integer) => event.with_integer(name, *integer),
                // The measurements of workload F are tenths.
                #[expect(clippy::cast_possible_truncation, reason = "tenths below 1000")]
                (Value::Float(float), Kind::Float) => event.with_float(name, (float * 10.0).round() as i64, 1),
                (Value::String(text), Kind::String) => event.with_string(name, text),
                (Value::Bool(flag), Kind::Flag) => event.with_boolean(name, *flag),
                (_, Kind::Integer | Kind::Float | Kind::String | Kind::Flag | Kind::Place) => Ok(()),
            };
            set.expect("as the schema says");
        }
        (event.build().expect("nothing is mandatory"), attributes.clone())
    }

    fn matches(&mut self, (event, attributes): &Self::Event, into: &mut Vec<u32>) {
        let report = self.tree.search(event).expect("a built event");
        let residuals = &self.residuals;
        into.extend(report.matches().iter().map(|&&id| id).filter(|id| {
            residuals.get(id).is_none_or(|filter| evaluate(filter, attributes, &self.nothing).is_match())
        }));
    }
}

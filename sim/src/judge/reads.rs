//! Whether what `get` and `list` found is what the session had declared. Operations of one attachment take effect in the order
//! in which they were asked for, so a read sees exactly those before it.

use std::sync::Arc;

use gomera_cluster::operation::Description;

use super::JudgedLife;
use crate::history::{Read, ReadOf};
use crate::subscriptions::Declared;
use crate::verdict::{Promise, Violation};

impl JudgedLife<'_> {
    pub(super) fn reads(&self) -> Result<(), Violation> {
        self.life.reads.iter().try_for_each(|read| self.read(read))
    }

    fn read(&self, read: &Read) -> Result<(), Violation> {
        let wrong =
            |what: String| Err(self.violation(Promise::Counting, None, format!("{}: a read {what}", self.name())));
        if !read.found.is_sorted_by(|left, right| left.handle < right.handle) {
            return wrong("is not in order of handle".to_owned());
        }
        for found in &read.found {
            let states = self.states(read, &found.id);
            if !states.iter().flatten().any(|declared| is(declared, found)) {
                return wrong(format!(
                    "found subscription {} as {} (paused: {}), which it cannot have been",
                    found.id, found.filter, found.options.paused
                ));
            }
        }
        match &read.of {
            ReadOf::One(id) => match read.found.as_slice() {
                [found] if found.id == *id => Ok(()),
                other => wrong(format!("of subscription {id} found {} subscriptions", other.len())),
            },
            ReadOf::Some { after, limit } => {
                let limit = usize::from(*limit);
                if read.found.len() > limit {
                    return wrong(format!("of at most {limit} found {}", read.found.len()));
                }
                if let Some(low) = read.found.iter().find(|found| after.is_some_and(|after| found.handle <= after)) {
                    return wrong(format!("above handle {after:?} found {:?}", low.handle));
                }
                let full = read.found.len() == limit;
                for id in self.life.subscriptions.keys() {
                    let states = self.states(read, id);
                    let surely = states.iter().all(|state| {
                        state.as_ref().is_some_and(|declared| {
                            declared.expires.is_none_or(|span| span.from > read.answered + self.skew)
                        })
                    });
                    let present = read.found.iter().any(|found| found.id == *id);
                    if surely && !present && !full && after.is_none() {
                        return wrong(format!("at {} did not find subscription {id}", super::moment(read.answered)));
                    }
                }
                Ok(())
            }
        }
    }

    fn states(&self, read: &Read, id: &Arc<str>) -> Vec<Option<Declared>> {
        self.life
            .subscriptions
            .get(id)
            .map(|timeline| {
                let asked = (read.generation, read.ticket);
                timeline.read(asked, read.requested, read.answered, self.history.decided())
            })
            .unwrap_or_default()
    }
}

fn is(declared: &Declared, found: &Description) -> bool {
    declared.paused == found.options.paused
        && declared.declaration.filter.to_string() == found.filter.to_string()
        && declared.expires.is_some() == found.options.expires_at.is_some()
}

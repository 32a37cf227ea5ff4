//! The arbiter of reigns: per session slice the highest term seen, and nothing from a lower one.

use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Layout, SessionSlice};

/// The highest term per slice; as many as the cluster has session slices.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    highest: Vec<Term>,
}

impl Terms {
    /// Takes in what a layout says.
    pub fn follow(&mut self, layout: &Layout) {
        self.highest.resize(layout.session.len().max(self.highest.len()), Term(0));
        for (highest, placement) in self.highest.iter_mut().zip(&layout.session) {
            *highest = placement.term.max(*highest);
        }
    }

    /// Whether a sender that reigns in `term` is heard; if so, nobody of a lower one will be from now on.
    pub fn admit(&mut self, slice: SessionSlice, term: Term) -> bool {
        match self.highest.get_mut(usize::from(slice.0)) {
            Some(highest) if term >= *highest => {
                *highest = term;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The highest term of a slice.
    pub fn highest(&self, slice: SessionSlice) -> Term {
        self.highest.get(usize::from(slice.0)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_term_is_not_heard_after_a_higher_one() {
        let mut terms = Terms { highest: vec![Term(0); 2] };
        let slice = SessionSlice(1);
        assert!(terms.admit(slice, Term(3)) && terms.admit(slice, Term(3)));
        assert!(!terms.admit(slice, Term(2)));
        assert!(terms.admit(SessionSlice(0), Term(1)), "slices are apart");
        assert!(!terms.admit(SessionSlice(2), Term(9)), "a slice that is not there");
    }
}

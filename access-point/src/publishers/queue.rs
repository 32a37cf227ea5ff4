//! A queue out of whose middle one takes what is needed no more, at once and at the same cost at every length: nothing stale stays in it
//! that somebody would have to go through. Each element is linked to the one before and the one behind it.
//!
//! Invariant: going on from [`ENDS`] leads over all elements, the oldest first, and back to it.

use gomera_cluster::pages::Pages;

/// The node before the first element and behind the last one.
const ENDS: u32 = 0;

/// The place of an element, from when it is put in until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

#[derive(Debug)]
struct Node<T> {
    before: u32,
    behind: u32,
    /// None at the ends, and where nobody is.
    element: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { before: ENDS, behind: ENDS, element: None }
    }
}

/// See the top of this file. Below 2^32 elements, of 8 bytes more than they have themselves.
#[derive(Debug)]
pub struct Queue<T> {
    nodes: Pages<Node<T>>,
    length: usize,
}

impl<T> Queue<T> {
    /// Nobody is in.
    pub fn new() -> Self {
        let mut nodes = Pages::new();
        nodes.insert(Node::default());
        Self { nodes, length: 0 }
    }

    /// How many are in.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The oldest.
    pub fn front(&self) -> Option<&T> {
        self.nodes[self.nodes[ENDS].behind].element.as_ref()
    }

    /// What is at a place.
    pub fn get(&self, place: Place) -> &T {
        self.nodes[place.0].element.as_ref().expect("a place in use holds an element")
    }

    /// Puts one behind all others.
    pub fn push_back(&mut self, element: T) -> Place {
        let last = self.nodes[ENDS].before;
        let place = self.nodes.insert(Node { before: last, behind: ENDS, element: Some(element) });
        self.nodes[last].behind = place;
        self.nodes[ENDS].before = place;
        self.length += 1;
        Place(place)
    }

    /// Takes the oldest out.
    pub fn pop_front(&mut self) -> Option<T> {
        let first = self.nodes[ENDS].behind;
        (first != ENDS).then(|| self.remove(Place(first)))
    }

    /// Takes one out.
    ///
    /// # Panics
    /// If nobody is there.
    pub fn remove(&mut self, place: Place) -> T {
        let Node { before, behind, element } = self.nodes.remove(place.0);
        self.nodes[before].behind = behind;
        self.nodes[behind].before = before;
        self.length -= 1;
        element.expect("who is taken out is in")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn those_who_stay_keep_their_order_and_no_room_is_taken_for_those_who_went() {
        let (mut queue, mut expected, mut seed) = (Queue::new(), BTreeMap::new(), 1_u64);
        for number in 0..5_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            expected.insert(number, queue.push_back(number));
            let nth = usize::try_from(seed >> 33).expect("31 bits") % expected.len();
            let (&gone, &place) = expected.iter().nth(nth).expect("below the length");
            if expected.len() > 20 {
                assert_eq!((*queue.get(place), queue.remove(place)), (gone, gone));
                expected.remove(&gone);
            }
            assert_eq!(queue.front(), expected.first_key_value().map(|(first, _)| first));
            assert_eq!(queue.len(), expected.len());
        }
        assert!(queue.nodes.len() <= 22, "{}", queue.nodes.len());
        assert_eq!(
            std::iter::from_fn(|| queue.pop_front()).collect::<Vec<_>>(),
            expected.into_keys().collect::<Vec<_>>()
        );
        assert_eq!((queue.front(), queue.len()), (None, 0));
    }
}

//! Every order of something small, as far as a test that is not optimised gets; `sim --exhaustive` gets further.

use gomera_sim::exhaustive::{Bounds, Late, Loss, explore};

#[test]
fn a_slice_moves_in_every_order_of_a_few_messages() {
    for (late, loss) in [(Late::Writers, Loss::None), (Late::ExitPoint, Loss::Source)] {
        let bounds = Bounds { messages: [2, 1], late, loss, deviations_max: 0, states_max: usize::MAX };
        let explored = explore(bounds).unwrap_or_else(|found| panic!("{bounds:?}: {found}"));
        assert!(explored.ends > 0 && explored.complete_below == 1, "{explored}");
    }
}
